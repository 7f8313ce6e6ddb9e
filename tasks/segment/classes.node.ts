import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ensure } from '../../training/core/errors.ts';
import { explainError } from '../../training/core/explain.ts';
import { classColor } from '../../training/data/show.node.ts';
import { decodeNumbers } from '../../training/pictures/decode.node.ts';
import { parseJson } from '../../training/pictures/masks/coco.ts';
import { decodeMask, isIdFile } from '../../training/pictures/masks/mask-file.node.ts';
import type { MaskForm } from '../../training/pictures/masks/mask-form.ts';
import { greyBits, paletteColors, readPaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import type { SegmentClass } from './contract.ts';

/** What the masks of a data set mean. */
export interface MaskClasses {
  readonly classes: readonly SegmentClass[];
  /** Id of pixels that no class claims. */
  readonly voidId: number;
  /** How the files say the ids. */
  readonly maskForm: MaskForm;
}

type Rgb = readonly [number, number, number];

/** A class as `classes.json` has it. */
interface NamedId {
  readonly id: number;
  readonly name: string;
  readonly rgb?: Rgb | undefined;
}

const byte = z.number().int().min(0).max(255);
const rgb = z.tuple([byte, byte, byte]);
const classFile = z.object({
  void: byte.optional(),
  masks: z.enum(['ids', 'colors', 'threshold']).optional(),
  classes: z.array(z.object({ id: byte, name: z.string().min(1), rgb: rgb.optional() })),
});
type ClassFile = z.infer<typeof classFile>;

/** Grey from which a black and white mask is white. */
const white: MaskForm = { kind: 'threshold', from: 128 };

async function readTable(path: string): Promise<ClassFile> {
  const value = parseJson(await readFile(path, 'utf8'), path);
  const parsed = classFile.safeParse(value);
  ensure(parsed.success, 'bad-data', () => {
    return `${path}: ${explainError(parsed.error!, value)}; the form is { void, masks, classes: [{ id, name, rgb }] }`;
  });
  return parsed.data;
}

/** Whether a mask is black and white, with both or all white; the blur that JPEG makes of an edge does not count. */
async function isBlackAndWhite(path: string): Promise<boolean> {
  const { data } = await decodeNumbers(path, 'rgb', 'black');
  let [between, whites] = [0, 0];
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i]!, data[i + 1]!, data[i + 2]!];
    if (Math.max(r, g, b) - Math.min(r, g, b) > 8) return false;
    if (g > 32 && g < 223) between += 1;
    if (g >= 223) whites += 1;
  }
  return whites > 0 && between <= 0.02 * (data.length / 3);
}

/** Whether a file of ids has the id 1 and nothing but 0, 1 and `voidId`: then 255 is no white. Of one bit, 1 is white as well. */
async function hasIdsOfTwo(path: string, voidId: number): Promise<boolean> {
  if (greyBits(await readFile(path)) === 1) return false;
  const ids = new Set((await decodeMask(path)).data);
  return ids.has(1) && [...ids].every((id) => id < 2 || id === voidId);
}

/** The places that the pixels of a palette file have, with their colours; undefined for any other file. */
async function usedPlaces(path: string): Promise<ReadonlyMap<number, string> | undefined> {
  // One that cannot be read is named when all pairs are looked at.
  const bytes = await readFile(path).catch(() => new Uint8Array());
  try {
    const colors = paletteColors(bytes);
    return colors && new Map([...new Set(readPaletteIds(bytes)?.data)].map((place) => [place, String(colors[place])]));
  } catch {
    return undefined;
  }
}

type PaletteKind = 'ids' | 'colors';

/** Whether the used places of a palette fit what `classes.json` states. */
type PlacesFit = (places: ReadonlyMap<number, string>) => boolean;

/** The two ways to read a palette: a place is the class of its number, whose colour it has, or void; or all have colours of the table. */
function placesFit(classes: readonly NamedId[], given: number | undefined): Readonly<Record<PaletteKind, PlacesFit>> {
  const voidId = given ?? 255;
  const named = classes.filter(({ id }) => id !== voidId);
  const own = new Map(named.map(({ id, rgb: color }) => [id, String(color)]));
  const taken = new Set(own.values());
  const all = new Set(classes.map(({ rgb: color }) => String(color)));
  // 255 is not void where it shows the colour of a class.
  const isVoid = (place: number, color: string): boolean =>
    place === voidId && (given !== undefined || !taken.has(color));
  return {
    ids: (places) => [...places].every(([place, color]) => own.get(place) === color || isVoid(place, color)),
    colors: (places) => [...places.values()].every((color) => all.has(color)),
  };
}

/**
 * The first of `kinds` that all palette files fit. Programs that make PNGs small give each file a palette of its own, in which the places
 * mean nothing: only the colours do. Throws `bad-data` with the files that stand against each.
 */
async function paletteKind(
  files: readonly string[],
  kinds: readonly PaletteKind[],
  fits: Readonly<Record<PaletteKind, PlacesFit>>,
): Promise<PaletteKind> {
  const against = new Map<PaletteKind, string>();
  for (const file of files) {
    const places = await usedPlaces(file);
    for (const kind of places === undefined ? [] : kinds)
      if (!against.has(kind) && !fits[kind](places!)) against.set(kind, file);
    if (against.size === kinds.length) break;
  }
  const kind = kinds.find((one) => !against.has(one));
  ensure(kind !== undefined, 'bad-data', () => {
    const [ids, colors] = [against.get('ids'), against.get('colors')];
    const reasons = [
      ...(ids ? [`${ids}, whose places have other colours than the classes of these ids`] : []),
      ...(colors ? [`${colors}, which has colours that no class has`] : []),
    ];
    return `segment: expected palettes that fit the rgb of classes.json, got ${reasons.join(', and ')}; correct rgb, or set "masks": "ids" or "colors" in classes.json`;
  });
  return kind;
}

/** {@link kindOf} one mask, and where all classes have colours, what the palettes of all say. */
async function kindOfAll(
  files: readonly string[],
  classes: readonly NamedId[],
  voidId: number | undefined,
): Promise<MaskForm['kind']> {
  const named = classes.filter(({ id }) => id !== (voidId ?? 255));
  const telling = await tellingMask(files);
  const isPalette = (await usedPlaces(telling)) !== undefined;
  const shown = await kindOf(telling, named, voidId);
  if (named.some((one) => one.rgb === undefined) || (shown === 'threshold' && !isPalette)) return shown;
  const kinds: readonly PaletteKind[] = isPalette || shown === 'threshold' ? ['ids', 'colors'] : [shown];
  // Black and white mean the same everywhere, also where the rgb are for showing only.
  const binary = isPalette && named.length === 2 && (await isBlackAndWhite(telling));
  const kind = paletteKind(files, kinds, placesFit(classes, voidId));
  return binary ? kind.catch(() => 'threshold' as const) : kind;
}

/** The kind of masks that one of them shows: a file of ids, or one of two classes in black and white, or of colours. */
async function kindOf(mask: string, named: readonly NamedId[], voidId: number | undefined): Promise<MaskForm['kind']> {
  const isIds = await isIdFile(mask);
  const binary = named.length === 2 && (await isBlackAndWhite(mask));
  if (!isIds) return binary || named.some((one) => one.rgb === undefined) ? 'threshold' : 'colors';
  return binary && voidId !== 255 && !(await hasIdsOfTwo(mask, voidId ?? 255)) ? 'threshold' : 'ids';
}

/** The first of the first masks that shows something, else the first: an empty one does not show its kind. */
async function tellingMask(masks: readonly string[]): Promise<string> {
  for (const mask of masks.slice(0, 50)) {
    // One that cannot be read is named when all pairs are looked at.
    const picture = await decodeNumbers(mask, 'rgb', 'black').catch(() => undefined);
    if (picture?.data.some((value) => value > 0)) return mask;
  }
  return masks[0]!;
}

/** The colours by id, that of void behind them; throws `bad-data` where a class has none, or another's. */
function colorTable(path: string, named: readonly NamedId[], nothing: NamedId | undefined): readonly Rgb[] {
  const without = named.find((one) => one.rgb === undefined);
  ensure(without === undefined, 'bad-data', () => {
    return `${path}: expected rgb for each class of masks in colours, got none for ${without!.name}`;
  });
  const colors = [...named, ...(nothing === undefined ? [] : [nothing])].flatMap((one) => one.rgb ?? []);
  const table = Array.from({ length: colors.length / 3 }, (_, i) => colors.slice(3 * i, 3 * i + 3) as unknown as Rgb);
  const same = table.findIndex((color, i) => table.findIndex((other) => String(other) === String(color)) !== i);
  ensure(same === -1, 'bad-data', () => {
    return `${path}: expected a colour of its own for each class, got ${table[same]} twice`;
  });
  return table;
}

/**
 * readClasses: the classes of `classes.json` by id, the void one omitted, and how the files `masks` encode them. Throws `bad-data`
 * unless the ids are 0, 1, ...
 */
export async function readClasses(path: string, files: readonly string[]): Promise<MaskClasses> {
  const { void: given, classes, masks } = await readTable(path);
  const voidId = given ?? 255;
  const named = classes.filter(({ id }) => id !== voidId).sort((a, b) => a.id - b.id);
  ensure(
    named.length > 1 && named.every(({ id }, i) => id === i),
    'bad-data',
    () => `${path}: expected at least two classes of ids 0, 1, ..., got ${named.map(({ id }) => id)}`,
  );
  const kind = masks ?? (await kindOfAll(files, classes, given));
  const colored = named.map(({ name, rgb: color }, id) => ({ name, color: color ?? classColor(id) }));
  if (kind === 'threshold') {
    ensure(named.length === 2, 'bad-data', () => {
      return `${path}: expected two classes for masks in black and white, got ${named.length}`;
    });
    return { classes: colored, voidId: 255, maskForm: white };
  }
  if (kind === 'ids') return { classes: colored, voidId, maskForm: { kind } };
  // In a table of colours void is the place behind the classes'.
  const colors = colorTable(
    path,
    named,
    classes.find(({ id }) => id === voidId),
  );
  return { classes: colored, voidId: colors.length > named.length ? named.length : 255, maskForm: { kind, colors } };
}

/** The two classes of black and white masks that nobody has named. Throws `bad-data` when the files are of another kind. */
export async function binaryClasses(folder: string, files: readonly string[]): Promise<MaskClasses> {
  const sample = await tellingMask(files);
  ensure(await isBlackAndWhite(sample), 'bad-data', () => {
    return `segment: expected masks in black and white where ${folder} has no classes.json, got ${sample}; name the classes in classes.json (docs/guide/train.md)`;
  });
  const classes = [
    { name: 'background', color: [0, 0, 0] },
    { name: 'object', color: [255, 255, 255] },
  ] as const;
  return { classes, voidId: 255, maskForm: white };
}
