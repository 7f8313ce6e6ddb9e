import { ensure } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';

/** Two parts of a data set, each in its original order. */
export interface Split<T> {
  readonly train: readonly T[];
  readonly valid: readonly T[];
}

/** Anything that splitters can tell apart. */
export interface Named {
  readonly name: string;
}

/** functionSplit: items for which `isValid` is true are held out. */
export function functionSplit<T>(items: readonly T[], isValid: (item: T) => boolean): Split<T> {
  const valid = new Set(items.filter(isValid));
  return { train: items.filter((item) => !valid.has(item)), valid: [...valid] };
}

/** folderSplit: items below the top folder `validFolder` of their name are held out. */
export const folderSplit = <T extends Named>(items: readonly T[], validFolder = 'valid'): Split<T> =>
  functionSplit(items, (item) => item.name.startsWith(`${validFolder}/`));

/**
 * randomSplit: about `validShare` (0..1) of the items are held out. Each item is decided alone, by a hash of
 * (seed, name): files that come or go never move another to the other side, so nothing trained on is later tested on.
 * If no item falls under the share, the one with the smallest hash is held out (given two or more).
 */
export function randomSplit<T extends Named>(items: readonly T[], validShare: number, seed: number): Split<T> {
  ensure(validShare >= 0 && validShare < 1, 'bad-argument', () => {
    return `randomSplit: expected validShare in [0, 1), got ${validShare}`;
  });
  const chance = new Map(items.map((item) => [item, createRng(seed, 'split', item.name).next()]));
  let smallest = 1;
  for (const value of chance.values()) smallest = Math.min(smallest, value);
  const limit = validShare > 0 && items.length > 1 ? Math.max(validShare, smallest + Number.EPSILON) : validShare;
  return functionSplit(items, (item) => chance.get(item)! < limit);
}
