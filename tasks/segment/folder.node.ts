import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensure } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { classColor } from '../../training/data/show.node.ts';
import { folderSplit, type Split, shareSplit } from '../../training/data/split.ts';
import type { FileItem } from '../../training/data/types.ts';
import { listImages, withoutExtension } from '../../training/pictures/items.node.ts';
import { parseCoco } from '../../training/pictures/masks/coco.ts';
import { binaryClasses, type MaskClasses, readClasses } from './classes.node.ts';

/** A photo and its mask. */
export interface MaskedItem extends FileItem {
  /** Path of the mask, or its class ids, one channel. */
  readonly mask: string | Image;
}

/** A segmentation data set on disk, in the parts that its authors made. */
export interface SegmentData extends MaskClasses {
  readonly train: readonly MaskedItem[];
  readonly valid: readonly MaskedItem[];
  readonly test: readonly MaskedItem[];
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

/** The photos below `images` with the masks of the same names below `masks`, whatever their extensions. Throws `bad-data` for one without. */
async function readTwins(folder: string): Promise<MaskedItem[]> {
  const [photos, masks] = [await listImages(join(folder, 'images')), await listImages(join(folder, 'masks'))];
  const maskOf = new Map(masks.map(({ name, path }) => [withoutExtension(name), path]));
  return photos.map(({ name, path }) => {
    const mask = maskOf.get(withoutExtension(name));
    ensure(mask !== undefined, 'bad-data', () => `${folder}: expected a mask for images/${name}, got none in masks`);
    return { name, path, mask };
  });
}

/** Share of the pairs that is held out by default. */
const validShare = 0.2;

/** What is below the folder `valid` is held out, or else a fifth of all. */
function splitOf(items: readonly MaskedItem[], seed: number): Split<MaskedItem> {
  const byFolder = folderSplit(items);
  return byFolder.valid.length > 0 ? byFolder : shareSplit(items, validShare, seed);
}

/** The pictures of a COCO file that has been found, in `images` or beside it. */
async function readCoco(folder: string, file: string, seed: number): Promise<SegmentData> {
  const path = join(folder, file);
  const coco = parseCoco(await readFile(path, 'utf8'), path);
  const pathOf = (name: string): string => {
    const found = [join(folder, 'images', name), join(folder, name)].find((one) => existsSync(one));
    ensure(found !== undefined, 'bad-data', () => `${path}: expected ${name} in images or beside the file, found none`);
    return found;
  };
  const items = coco.names.map((name) => ({ name, path: pathOf(name), mask: coco.maskOf(name) }));
  const split = splitOf(items, seed);
  needParts(split, folder);
  return {
    ...split,
    test: [],
    classes: coco.classes.map((name, id) => ({ name, color: id === 0 ? [0, 0, 0] : classColor(id) })),
    voidId: 255,
    maskForm: { kind: 'ids' },
  };
}

/** Throws unless there are photos in both parts, and none in both. */
function needParts({ train, valid }: Split<MaskedItem>, folder: string): void {
  ensure(
    train.length + valid.length > 0,
    'bad-data',
    () => `segment: expected photos with masks in ${folder}, got none`,
  );
  ensure(train.length > 0 && valid.length > 0, 'bad-data', () => {
    return `segment: expected photos to train on and photos to measure with in ${folder}, got ${train.length} and ${valid.length}; add pairs, or share them out anew`;
  });
  const trained = new Set(train.map(({ name }) => name));
  const both = valid.filter(({ name }) => trained.has(name)).map(({ name }) => name);
  ensure(both.length === 0, 'bad-data', () => {
    const more = both.length > 1 ? ` and ${both.length - 1} more` : '';
    return `segment: expected each photo of ${folder} in one of train.txt and val.txt, got ${both[0]}${more} in both; take it off one of them`;
  });
}

const cocoFile = 'annotations.json';

/** The pairs of the folder, as lists or two folders say them. */
async function readPairs(folder: string, there: ReadonlySet<string>, seed: number) {
  if (!there.has('train.txt') || !there.has('val.txt')) return { ...splitOf(await readTwins(folder), seed), test: [] };
  const [train, valid] = [await readList(folder, 'train.txt'), await readList(folder, 'val.txt')];
  return { train, valid, test: there.has('test.txt') ? await readList(folder, 'test.txt') : [] };
}

/**
 * readSegmentFolder: photos with a class for every pixel. Pairs are in `train.txt`, `val.txt` and perhaps `test.txt`, a photo and its mask
 * per line, a split that is kept; or in two folders, `images` and `masks`, with equal names: then a fifth is held out, those below
 * `images/valid` where there are such. `classes.json` has names and colours; it may be missing where masks are black and white. Or all
 * is in COCO's `annotations.json`, with the pictures in `images` or beside it. Throws `bad-data`.
 */
export async function readSegmentFolder(folder: string, seed = 1): Promise<SegmentData> {
  const there = new Set(await readdir(folder).catch(() => []));
  const has = (...names: readonly string[]): boolean => names.every((name) => there.has(name));
  const [lists, twins] = [has('train.txt', 'val.txt'), has('images', 'masks')];
  if (has(cocoFile) && !lists && !has('masks')) return readCoco(folder, cocoFile, seed);
  ensure((lists && has('classes.json')) || twins, 'bad-data', () => {
    const known = ['classes.json', 'train.txt', 'val.txt', 'images', 'masks'].filter((name) => there.has(name));
    return `segment: expected classes.json with train.txt and val.txt, the folders images and masks, or ${cocoFile} in ${folder}, got ${known.join(', ') || 'none of them'}; docs/guide/train.md shows them`;
  });
  const pairs = await readPairs(folder, there, seed);
  needParts(pairs, folder);
  const masks = [...pairs.train, ...pairs.valid].map(({ mask }) => mask as string);
  const classes = has('classes.json')
    ? await readClasses(join(folder, 'classes.json'), masks)
    : await binaryClasses(folder, masks);
  return { ...pairs, ...classes };
}
