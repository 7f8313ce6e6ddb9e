import { readFile } from 'node:fs/promises';
import { ensure } from '../../core/errors.ts';
import type { Image } from '../../core/image.ts';
import { decodeNumbers, readHeader } from '../decode.node.ts';
import type { MaskForm } from './mask-form.ts';
import { greyBits, readPaletteIds } from './palette-png.node.ts';

/** Whether the numbers of a file that is no palette PNG can be ids, one channel of 8 bits; `got` is what they are. */
async function idNumbers(bytes: Uint8Array): Promise<{ readonly fit: boolean; readonly got: string }> {
  const { channels, depth } = await readHeader(bytes);
  return { fit: channels === 1 && depth === 'uchar', got: `${channels} of ${depth}` };
}

async function readIds(bytes: Uint8Array, path: string): Promise<Image> {
  const places = readPaletteIds(bytes);
  if (places !== undefined) return places;
  const { fit, got } = await idNumbers(bytes);
  ensure(fit, 'bad-data', () => {
    return `decodeMask: expected one channel of 8-bit class ids in ${path}, got ${got}; state which colours are which classes, or save masks as grey PNG`;
  });
  const image = await decodeNumbers(bytes, 'grey');
  // The library spreads few bits over 0..255, as greys want it: by 255, 85 or 17.
  const step = 255 / (2 ** Math.min(8, greyBits(bytes) ?? 8) - 1);
  return step === 1 ? image : { ...image, data: image.data.map((x) => x / step) };
}

/** Whether a file can be a mask of ids: a palette PNG, or one channel of 8 bits. */
export async function isIdFile(path: string): Promise<boolean> {
  const bytes = await readFile(path);
  return readPaletteIds(bytes) !== undefined || (await idNumbers(bytes)).fit;
}

/** The picture's pixels as numbers 0xRRGGBB -> ids. */
async function readColors(
  bytes: Uint8Array,
  colors: readonly (readonly [number, number, number])[],
  path: string,
): Promise<Image> {
  const { width, height, data: rgb } = await decodeNumbers(bytes, 'rgb');
  const ids = new Map(colors.map(([r, g, b], id) => [(r << 16) | (g << 8) | b, id]));
  const data = new Uint8Array(width * height);
  for (let i = 0; i < data.length; i++) {
    const color = rgb.subarray(3 * i, 3 * i + 3);
    const id = ids.get((color[0]! << 16) | (color[1]! << 8) | color[2]!);
    ensure(id !== undefined, 'bad-data', () => {
      return `decodeMask: expected the colours of ${colors.length} classes in ${path}, got [${[...color]}] at (${i % width}, ${Math.floor(i / width)}); add it to the table, and save masks as PNG`;
    });
    data[i] = id;
  }
  return { width, height, channels: 1, data };
}

async function readThreshold(bytes: Uint8Array, from: number): Promise<Image> {
  const grey = await decodeNumbers(bytes, 'grey', 'black');
  return { ...grey, data: grey.data.map((value) => (value >= from ? 1 : 0)) };
}

/** decodeMask: a mask's file -> class ids, one channel u8. Throws `bad-data` where the file is not of the form. */
export async function decodeMask(path: string, form: MaskForm = { kind: 'ids' }): Promise<Image> {
  const bytes = await readFile(path);
  if (form.kind === 'colors') return readColors(bytes, form.colors, path);
  return form.kind === 'threshold' ? readThreshold(bytes, form.from) : readIds(bytes, path);
}

/** A mask's class ids, from its file or as they are. */
export const readMask = async (mask: string | Image, form?: MaskForm): Promise<Image> =>
  typeof mask === 'string' ? decodeMask(mask, form) : mask;
