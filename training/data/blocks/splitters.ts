import { ensure } from '../../core/errors.ts';
import { folderSplit, functionSplit, type Named, randomSplit, type Split } from '../split.ts';
import type { RowItem } from './types.ts';

/** Parts a source into training and validation items. */
export interface Splitter<I> {
  /** In words, for the summary. */
  readonly describe: string;
  split(items: readonly I[]): Split<I>;
}

/** A {@link Splitter} for whatever items a source has, as long as they are `B`. */
export interface AnySplitter<B> {
  readonly describe: string;
  split<I extends B>(items: readonly I[]): Split<I>;
}

/** splitRandomly: about `validShare` (0..1) of the items, decided by (seed, name) for each alone, are held out. */
export const splitRandomly = (validShare = 0.2, seed = 1): AnySplitter<Named> => ({
  describe: `random ${100 * validShare} %, seed ${seed}`,
  split: (items) => randomSplit(items, validShare, seed),
});

/** splitByFolder: items below the top folder `valid` are held out. */
export const splitByFolder = (valid = 'valid'): AnySplitter<Named> => ({
  describe: `folder '${valid}'`,
  split: (items) => folderSplit(items, valid),
});

/** splitByFunction: items for which `isValid` is true are held out. */
export const splitByFunction = <I>(isValid: (item: I) => boolean): AnySplitter<I> => ({
  describe: 'function of the item',
  split: (items) => functionSplit(items, isValid),
});

/** splitByIndices: the items at these places of the source's list are held out. */
export const splitByIndices = (valid: readonly number[]): AnySplitter<unknown> => ({
  describe: `${valid.length} given places`,
  split: (items) => {
    const wrong = valid.find((index) => !Number.isInteger(index) || index < 0 || index >= items.length);
    ensure(
      wrong === undefined,
      'bad-argument',
      () => `splitByIndices: expected places 0..${items.length - 1}, got ${wrong}`,
    );
    const held = new Set(valid);
    return { train: items.filter((_, i) => !held.has(i)), valid: items.filter((_, i) => held.has(i)) };
  },
});

/** splitByColumn: rows whose column says so (`true`, `1` or `yes`, in any case, or exactly `value`) are held out. */
export const splitByColumn = (column = 'is_valid', value?: string): Splitter<RowItem> => ({
  describe: `column '${column}'`,
  split: (items) =>
    functionSplit(items, ({ row, name }) => {
      const cell = row[column];
      ensure(cell !== undefined, 'bad-data', () => {
        return `splitByColumn: expected a column '${column}' for '${name}', got ${Object.keys(row).join(', ')}`;
      });
      return value === undefined ? /^(true|1|yes)$/i.test(cell.trim()) : cell === value;
    }),
});

/** noSplit: everything is for training. */
export const noSplit = (): AnySplitter<unknown> => ({
  describe: 'none',
  split: (items) => ({ train: items, valid: [] }),
});
