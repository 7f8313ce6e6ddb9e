import { ensure } from '../core/errors.ts';
import { folderSplit, functionSplit, type Named, randomSplit, type Split } from './split.ts';
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

/** `a, b, c, ... (12 in all)` */
function listed(values: Iterable<string>): string {
  const all = [...new Set(values)].sort();
  return all.length > 10 ? `${all.slice(0, 10).join(', ')}, ... (${all.length} in all)` : all.join(', ');
}

/** `parts`, if anything is held out: a validation set that is empty by mistake makes every number on it NaN. `seen` states what there is. */
function needHeldOut<I>(parts: Split<I>, where: string, seen: () => string): Split<I> {
  ensure(parts.valid.length > 0, 'bad-data', () => {
    return `${where}: expected items to hold out, got none of ${parts.train.length} (${seen()}); use noSplit() to train without validation`;
  });
  return parts;
}

const namesIn = (items: readonly Named[]): string => `the items are ${listed(items.map(({ name }) => name))}`;

/** Top folders of the items' names, and whether some are in none. */
function foldersIn(items: readonly Named[]): string {
  const folders = items.flatMap(({ name }) => (name.includes('/') ? [name.slice(0, name.indexOf('/'))] : []));
  return folders.length === 0 ? `no item is in a folder: ${namesIn(items)}` : `the folders are ${listed(folders)}`;
}

/** splitRandomly: about `validShare` (0..1) of the items, decided by (seed, name) for each alone, are held out. */
export const splitRandomly = (validShare = 0.2, seed = 1): AnySplitter<Named> => ({
  describe: `random ${100 * validShare} %, seed ${seed}`,
  split: (items) => {
    const parts = randomSplit(items, validShare, seed);
    return validShare === 0 ? parts : needHeldOut(parts, 'splitRandomly', () => namesIn(items));
  },
});

/** splitByFolder: items below the top folder `valid` are held out; throws `bad-data` when there are none. */
export const splitByFolder = (valid = 'valid'): AnySplitter<Named> => ({
  describe: `folder '${valid}'`,
  split: (items) => needHeldOut(folderSplit(items, valid), `splitByFolder('${valid}')`, () => foldersIn(items)),
});

/** splitByFunction: items for which `isValid` is true are held out; throws `bad-data` when there are none. */
export const splitByFunction = <I extends Named>(isValid: (item: I) => boolean): AnySplitter<I> => ({
  describe: 'function of the item',
  split: (items) => needHeldOut(functionSplit(items, isValid), 'splitByFunction', () => namesIn(items)),
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

/** splitByColumn: rows whose column states so (`true`, `1` or `yes`, in any case, or exactly `value`) are held out; throws `bad-data` when there are none. */
export const splitByColumn = (column = 'is_valid', value?: string): Splitter<RowItem> => ({
  describe: `column '${column}'`,
  split: (items) => {
    const parts = functionSplit(items, ({ row, name }) => {
      const cell = row[column];
      ensure(cell !== undefined, 'bad-data', () => {
        return `splitByColumn: expected a column '${column}' for '${name}', got ${Object.keys(row).join(', ')}`;
      });
      return value === undefined ? /^(true|1|yes)$/i.test(cell.trim()) : cell === value;
    });
    const cells = (): string => listed(items.map(({ row }) => `'${row[column]}'`));
    return needHeldOut(parts, 'splitByColumn', () => `column '${column}' has ${cells()}`);
  },
});

/** noSplit: everything is for training. */
export const noSplit = (): AnySplitter<unknown> => ({
  describe: 'none',
  split: (items) => ({ train: items, valid: [] }),
});
