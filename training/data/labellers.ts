import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import type { MaskForm } from '../pictures/masks/mask-form.ts';
import type { DamageSpec } from './damage-spec.ts';
import type { Named } from './split.ts';
import type { ArrayItem, Labeller, RowItem } from './types.ts';

/** parentFolder: the class is the name of the folder that the picture lies in. */
export const parentFolder = <I extends Named>(): Labeller<I, 'category'> => ({
  kind: 'category',
  describe: 'name of the folder',
  label: ({ name }) => {
    const folder = name.split('/').at(-2);
    ensure(folder !== undefined, 'bad-data', () => {
      return `parentFolder: expected a picture in a folder named after its class, got '${name}'; start one folder further up`;
    });
    return folder;
  },
});

/** byFunction: the class is what `classOf` makes of the item. */
export const byFunction = <I>(classOf: (item: I) => string): Labeller<I, 'category'> => ({
  kind: 'category',
  describe: 'function of the item',
  label: classOf,
});

/** byRegex: the class is the first group of `pattern` in the item's name. */
export const byRegex = <I extends Named>(pattern: RegExp): Labeller<I, 'category'> => ({
  kind: 'category',
  describe: `first group of ${pattern}`,
  label: ({ name }) => {
    const found = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(name)?.[1];
    ensure(
      found !== undefined,
      'bad-data',
      () => `byRegex: expected a name that ${pattern} matches with a group, got '${name}'`,
    );
    return found;
  },
});

/** byLabel: the class that came with the pictures in memory. */
export const byLabel = (): Labeller<ArrayItem, 'category'> => ({
  kind: 'category',
  describe: 'label of the source',
  label: ({ name, label }) => {
    ensure(
      label !== undefined,
      'bad-data',
      () => `byLabel: expected a label with '${name}', got none; pass labels to the source`,
    );
    return label;
  },
});

/** A column's value in an item's row; throws `bad-data` if there is no such column. */
function cell({ row, name }: RowItem, column: string): string {
  const value = row[column];
  ensure(value !== undefined, 'bad-data', () => {
    return `label: expected a column '${column}' for '${name}', got ${Object.keys(row).join(', ')}`;
  });
  return value;
}

/** byColumn: the class is in a column of the table. */
export const byColumn = (column: string): Labeller<RowItem, 'category'> => ({
  kind: 'category',
  describe: `column '${column}'`,
  label: (item) => cell(item, column),
});

/** classesInColumn: any number of classes per picture, in one column with `delimiter` between them. */
export const classesInColumn = (column: string, delimiter = ' '): Labeller<RowItem, 'multi'> => ({
  kind: 'multi',
  describe: `classes in column '${column}'`,
  label: (item) => cell(item, column).split(delimiter).filter(Boolean),
});

/** numbersBy: one or more numbers per item, the same count for all. */
export const numbersBy = <I>(numbersOf: (item: I) => number | readonly number[]): Labeller<I, 'numbers'> => ({
  kind: 'numbers',
  describe: 'numbers, a function of the item',
  label: (item) => [numbersOf(item)].flat(),
});

/** numbersInColumns: the numbers in these columns of the table. */
export const numbersInColumns = (...columns: readonly string[]): Labeller<RowItem, 'numbers'> => ({
  kind: 'numbers',
  describe: `numbers in ${columns.join(', ')}`,
  label: (item) =>
    columns.map((column) => {
      const text = cell(item, column);
      const value = text.trim() === '' ? Number.NaN : Number(text);
      ensure(
        Number.isFinite(value),
        'bad-data',
        () => `numbersInColumns: expected a number in '${column}' for '${item.name}', got '${text}'`,
      );
      return value;
    }),
});

/** pairedImage: another picture of the same scene; `pictureOf` gives its path, or its pixels. */
export const pairedImage = <I>(pictureOf: (item: I) => string | Image): Labeller<I, 'image'> => ({
  kind: 'image',
  describe: 'paired picture',
  label: pictureOf,
});

export interface DamagedOptions<I> extends Partial<DamageSpec> {
  /** The damaged copy of an item, a path or pixels; where there is none, the item is damaged by the recipes. */
  readonly copyOf?: (item: I) => string | Image | undefined;
}

/**
 * damaged: y is the item's own picture, x a damaged copy of it: f32[B,3,size,size] 0..1 each. A training sample is a random crop of the photo
 * at a random size, mirrored or not, a validation sample one from its middle; other transforms are not applied.
 */
export const damaged = <I>({ copyOf, ...damage }: DamagedOptions<I> = {}): Labeller<I, 'damaged'> => ({
  kind: 'damaged',
  describe:
    copyOf === undefined ? 'the picture itself, x damaged by recipes' : 'the picture itself, x its damaged copy',
  label: (item) => copyOf?.(item),
  damage,
});

export interface MaskOptions {
  /** Names of the ids 0, 1, ... */
  readonly classes: readonly string[];
  /** The id of pixels that belong to no class; a loss leaves them out. May be one of the classes' ids or 255, say. */
  readonly ignoreId?: number;
  /** How the files encode the ids: as they are (by default), by a colour for each class, or black and white. */
  readonly maskForm?: MaskForm;
}

/** mask: a class for every pixel; `maskOf` gives the path of a one-channel picture of ids, or its pixels. */
export const mask = <I>(maskOf: (item: I) => string | Image, options: MaskOptions): Labeller<I, 'mask'> => ({
  kind: 'mask',
  describe: 'class of every pixel',
  label: maskOf,
  ...options,
});
