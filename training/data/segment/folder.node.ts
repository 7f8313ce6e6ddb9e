import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensure, FettleError } from '../../core/errors.ts';
import type { SegmentClass } from '../../core/model-config.ts';
import type { FileItem } from '../blocks/types.ts';
import { listImages } from '../items.node.ts';
import { folderSplit, randomSplit } from '../split.ts';

/** A photo and the picture of its class ids. */
export interface MaskedItem extends FileItem {
  /** Path of the mask. */
  readonly mask: string;
}

/** A segmentation data set on disk, in the parts that its authors made. */
export interface SegmentData {
  readonly train: readonly MaskedItem[];
  readonly valid: readonly MaskedItem[];
  readonly test: readonly MaskedItem[];
  readonly classes: readonly SegmentClass[];
  /** Id of pixels that no class claims. */
  readonly voidId: number;
}

const byte = z.number().int().min(0).max(255);
const classFile = z.object({
  void: byte,
  classes: z.array(z.object({ id: byte, name: z.string().min(1), rgb: z.tuple([byte, byte, byte]) })),
});

/** The content of a JSON file; throws `bad-data` when it is none. */
async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FettleError('bad-data', `${path}: expected JSON, got ${(cause as Error).message}`, { cause });
  }
}

/** Classes by id, the void one left out; throws `bad-data` unless the ids are 0, 1, ... */
async function readClasses(folder: string): Promise<Pick<SegmentData, 'classes' | 'voidId'>> {
  const path = join(folder, 'classes.json');
  const parsed = classFile.safeParse(await readJson(path));
  ensure(parsed.success, 'bad-data', () => {
    return `${path}: expected { void, classes: [{ id, name, rgb }] }, got ${z.prettifyError(parsed.error!)}`;
  });
  const { void: voidId, classes } = parsed.data;
  const named = classes.filter(({ id }) => id !== voidId).sort((a, b) => a.id - b.id);
  ensure(
    named.length > 1 && named.every(({ id }, i) => id === i),
    'bad-data',
    () => `${path}: expected at least two classes of ids 0, 1, ..., got ${named.map(({ id }) => id)}`,
  );
  return { classes: named.map(({ name, rgb }) => ({ name, color: rgb })), voidId };
}

/** The pairs of one list file: a photo and its mask per line, both relative to the folder. */
async function readList(folder: string, file: string): Promise<MaskedItem[]> {
  const text = await readFile(join(folder, file), 'utf8');
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  return lines.map((line, i) => {
    const [photo, mask, ...rest] = line.trim().split(/\s+/);
    ensure(
      photo !== undefined && mask !== undefined && rest.length === 0,
      'bad-data',
      () => `${join(folder, file)}, line ${i + 1}: expected a photo and its mask, got '${line}'`,
    );
    return { name: photo, path: join(folder, photo), mask: join(folder, mask) };
  });
}

const stemOf = (name: string): string => name.replace(/\.[^./]+$/, '');

/** The photos below `images` with the masks of the same names below `masks`, whatever their extensions. Throws `bad-data` for one without. */
async function readTwins(folder: string): Promise<MaskedItem[]> {
  const [photos, masks] = [await listImages(join(folder, 'images')), await listImages(join(folder, 'masks'))];
  const maskOf = new Map(masks.map(({ name, path }) => [stemOf(name), path]));
  return photos.map(({ name, path }) => {
    const mask = maskOf.get(stemOf(name));
    ensure(mask !== undefined, 'bad-data', () => `${folder}: expected a mask for images/${name}, got none in masks`);
    return { name, path, mask };
  });
}

/** Share of the pairs that is held out where nobody has said which. */
const validShare = 0.2;

/**
 * readSegmentFolder: photos with masks of class ids, and `classes.json` with names and colours. Either in CamVid's form, `train.txt`, `val.txt`
 * and perhaps `test.txt` with a photo and its mask per line, whose split is kept; or in two folders, `images` and `masks`, with
 * equal names: then a fifth is held out, those below `images/valid` where there are such. Throws `bad-data`.
 */
export async function readSegmentFolder(folder: string, seed = 1): Promise<SegmentData> {
  const there = new Set(await readdir(folder).catch(() => []));
  const has = (...names: readonly string[]): boolean => names.every((name) => there.has(name));
  ensure(has('classes.json') && (has('train.txt', 'val.txt') || has('images', 'masks')), 'bad-data', () => {
    const known = ['classes.json', 'train.txt', 'val.txt', 'images', 'masks'].filter((name) => there.has(name));
    return `segment: expected classes.json, and train.txt with val.txt or the folders images and masks in ${folder}, got ${known.join(', ') || 'none of them'}; docs/training.md shows them`;
  });
  const classes = await readClasses(folder);
  if (!has('train.txt', 'val.txt')) {
    const items = await readTwins(folder);
    const byFolder = folderSplit(items);
    return { ...(byFolder.valid.length > 0 ? byFolder : randomSplit(items, validShare, seed)), test: [], ...classes };
  }
  const [train, valid] = [await readList(folder, 'train.txt'), await readList(folder, 'val.txt')];
  return { train, valid, test: has('test.txt') ? await readList(folder, 'test.txt') : [], ...classes };
}
