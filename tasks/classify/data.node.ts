import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ensure, messageOf } from '../../training/core/errors.ts';
import { shareSplit } from '../../training/data/split.ts';
import type { FileItem } from '../../training/data/types.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { listImages } from '../../training/pictures/items.node.ts';

/** A photo and its class. */
export interface ClassItem extends FileItem {
  readonly label: string;
  /** Of the file's bytes: copies of one photo have the same. */
  readonly sha256: string;
}

/** A photo that cannot be used, and why. */
export interface PhotoProblem {
  readonly name: string;
  readonly reason: string;
}

/** Photos of classes, in two parts. */
export interface ClassifyData {
  readonly classes: readonly string[];
  readonly train: readonly ClassItem[];
  readonly valid: readonly ClassItem[];
  /** Photos that were omitted. */
  readonly problems: readonly PhotoProblem[];
}

/** Photos that are read at a time. */
const atOnce = 4;

/** Larger photos are decoded at a fraction of their size, which is enough to know that they can be. */
const looksAtSide = 256;

async function inspect(item: Omit<ClassItem, 'sha256'>): Promise<ClassItem | PhotoProblem> {
  try {
    const bytes = await readFile(item.path);
    await decodeRgb(bytes, looksAtSide);
    return { ...item, sha256: createHash('sha256').update(bytes).digest('hex') };
  } catch (error) {
    return { name: item.name, reason: messageOf(error).split('\n')[0]! };
  }
}

/** inspectPhotos: reads every photo; those that can be used in their order, and what is wrong with the others. */
export async function inspectPhotos(
  items: readonly Omit<ClassItem, 'sha256'>[],
): Promise<{ readonly items: readonly ClassItem[]; readonly problems: readonly PhotoProblem[] }> {
  const looked: (ClassItem | PhotoProblem)[] = [];
  for (let from = 0; from < items.length; from += atOnce)
    looked.push(...(await Promise.all(items.slice(from, from + atOnce).map(inspect))));
  return {
    items: looked.filter((one) => 'sha256' in one),
    problems: looked.filter((one) => 'reason' in one),
  };
}

/** Share of the photos of each class that is held out by default. */
const validShare = 0.2;

/** Folders that hold the photos to measure with, where there is a folder `train`. */
const validFolders = ['valid', 'val', 'validation', 'test'] as const;

/** The classes' names, sorted. */
const classesOf = (items: readonly ClassItem[]): readonly string[] =>
  [...new Set(items.map((item) => item.label))].sort();

/** A fifth of each class, chosen by a hash of the photos' bytes: copies of a photo lie on one side, and adding photos moves few. */
function holdOut(items: readonly ClassItem[], seed: number): Pick<ClassifyData, 'train' | 'valid'> {
  const held = new Set<string>();
  for (const label of classesOf(items)) {
    const photos = [...new Set(items.filter((item) => item.label === label).map(({ sha256 }) => sha256))];
    const { valid } = shareSplit(
      photos.map((name) => ({ name })),
      validShare,
      seed,
    );
    for (const { name } of valid) held.add(name);
  }
  return {
    train: items.filter(({ sha256 }) => !held.has(sha256)),
    valid: items.filter(({ sha256 }) => held.has(sha256)),
  };
}

/**
 * readClassifyFolder: photos in a folder for each class, whose name is the class's, with whatever folders below it. Where there are `train` and
 * `valid` (or `val`, `validation`, `test`) with such folders, that split is kept; else a fifth of each class is held out. Photos that
 * cannot be read are omitted and listed. Throws `bad-data`.
 */
export async function readClassifyFolder(folder: string, seed = 1): Promise<ClassifyData> {
  const photos = await listImages(folder);
  const tops = new Set(photos.map(({ name }) => name.split('/')[0]!));
  const validFolder = tops.has('train') ? validFolders.find((name) => tops.has(name)) : undefined;
  const depth = validFolder === undefined ? 0 : 1;
  const parts = photos.filter(
    ({ name }) => depth === 0 || name.startsWith('train/') || name.startsWith(`${validFolder}/`),
  );
  const labelled = parts.map((photo) => {
    const path = photo.name.split('/');
    ensure(path.length > depth + 1, 'bad-data', () => {
      return `${folder}: expected every photo in a folder named after its class, got ${photo.name}; docs/guide/train.md shows how`;
    });
    return { ...photo, label: path[depth]! };
  });
  const { items, problems } = await inspectPhotos(labelled);
  const split =
    validFolder === undefined
      ? holdOut(items, seed)
      : {
          train: items.filter(({ name }) => name.startsWith('train/')),
          valid: items.filter(({ name }) => !name.startsWith('train/')),
        };
  return { classes: classesOf(items), ...split, problems };
}

/** What a look at the photos of all classes found. */
export interface ClassifyHealth {
  /** Photos of each class in the two parts, by id. */
  readonly counts: readonly { readonly label: string; readonly train: number; readonly valid: number }[];
  /** Photos to measure with that are also among those to train on. */
  readonly shared: readonly string[];
  /** Photos that lie in the folders of two classes. */
  readonly twoClasses: readonly string[];
}

/** Fewer photos of a class than this teach nothing. */
const leastPhotos = 4;

/** With fewer than this a class is recognised badly. */
const fewPhotos = 20;

/** checkClasses: counts the classes and looks for copies of photos. */
export function checkClasses({ classes, train, valid }: ClassifyData): ClassifyHealth {
  const count = (items: readonly ClassItem[], label: string): number =>
    items.reduce((sum, item) => sum + (item.label === label ? 1 : 0), 0);
  const trained = new Set(train.map(({ sha256 }) => sha256));
  const labelOf = new Map<string, string>();
  const twoClasses = [...train, ...valid].filter(({ sha256, label }) => {
    const first = labelOf.get(sha256) ?? label;
    labelOf.set(sha256, first);
    return first !== label;
  });
  return {
    counts: classes.map((label) => ({ label, train: count(train, label), valid: count(valid, label) })),
    shared: valid.filter(({ sha256 }) => trained.has(sha256)).map(({ name }) => name),
    twoClasses: twoClasses.map(({ name }) => name),
  };
}

/** The first few of a list in words. */
const some = (names: readonly string[]): string =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');

/** needClasses: throws `bad-data` unless there is enough of two classes to learn from; states what is there. */
export function needClasses(data: ClassifyData, onNote: ((text: string) => void) | undefined): ClassifyHealth {
  const health = checkClasses(data);
  for (const { name, reason } of data.problems) onNote?.(`skipped ${name}: ${reason}`);
  onNote?.(
    `classes: ${health.counts.map(({ label, train, valid }) => `${label} ${train} + ${valid} held out`).join(', ')}`,
  );
  ensure(data.classes.length >= 2, 'bad-data', () => {
    return `classify: expected photos of two classes or more, got ${data.classes[0] ?? 'none'}; make a folder for each class`;
  });
  const poor = health.counts.filter(({ train }) => train < leastPhotos);
  ensure(poor.length === 0, 'bad-data', () => {
    return `classify: expected at least ${leastPhotos} photos of each class to train on, got ${some(poor.map(({ label, train }) => `${train} of ${label}`))}; add photos or take the folder away`;
  });
  ensure(data.valid.length > 0, 'bad-data', () => 'classify: expected photos to measure with, got none');
  const few = health.counts.filter(({ train }) => train < fewPhotos);
  if (few.length > 0) onNote?.(`few photos of ${some(few.map(({ label }) => label))}: more would help`);
  const unmeasured = health.counts.filter(({ valid }) => valid === 0);
  if (unmeasured.length > 0) onNote?.(`none held out of ${some(unmeasured.map(({ label }) => label))}`);
  if (health.shared.length > 0)
    onNote?.(`measured and trained on alike, so the numbers flatter: ${some(health.shared)}; take the copies away`);
  if (health.twoClasses.length > 0) onNote?.(`copies in two classes: ${some(health.twoClasses)}`);
  return health;
}
