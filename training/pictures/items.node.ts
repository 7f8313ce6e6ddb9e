import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { ensure, FettleError } from '../core/errors.ts';
import { pictureName } from './formats.ts';

/** One picture of a data set. */
export interface ImageItem {
  /** Path below the data set's folder, with `/` on every system: the name that seeds, splits and reports use. */
  readonly name: string;
  readonly path: string;
}

/** A picture and its damaged copy on disk. */
export interface PairItem extends ImageItem {
  readonly damagedPath: string;
}

/** listImages: every picture file (or link to one) below `folder`, by its extension, in the order of their names. */
export async function listImages(folder: string): Promise<ImageItem[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new FettleError('not-found', `listImages: expected a folder of pictures at ${folder}, found none`, { cause });
  });
  const items = entries
    .filter(
      (entry) =>
        (entry.isFile() || entry.isSymbolicLink()) && pictureName.test(entry.name) && !entry.name.startsWith('.'),
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, name: relative(folder, path).split(sep).join('/') }));
  return items.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** `a/b.png` -> `a/b`. */
export const withoutExtension = (name: string): string => name.replace(/\.[^./]+$/, '');

/** listPairs: originals that have a damaged picture of the same name (extensions may differ) in the other folder. */
export async function listPairs(originals: string, damaged: string): Promise<PairItem[]> {
  const paths = new Map((await listImages(damaged)).map(({ name, path }) => [withoutExtension(name), path]));
  const pairs = (await listImages(originals)).map((item) => ({
    ...item,
    damagedPath: paths.get(withoutExtension(item.name)),
  }));
  const lost = pairs.filter((pair) => pair.damagedPath === undefined).map((pair) => pair.name);
  ensure(lost.length === 0, 'bad-data', () => {
    return `listPairs: expected a damaged picture for each original, got none for ${lost.slice(0, 5).join(', ')}${
      lost.length > 5 ? ` and ${lost.length - 5} more` : ''
    }; run fettle crappify again or remove the originals`;
  });
  return pairs as PairItem[];
}
