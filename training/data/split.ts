import { ensure } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';

/** Two parts of a data set, each in its original order. */
export interface Split<T> {
  readonly train: readonly T[];
  readonly valid: readonly T[];
}

/** Anything that splitters can distinguish. */
export interface Named {
  readonly name: string;
}

/** functionSplit: items for which `isValid` is true are held out. */
export function functionSplit<T>(items: readonly T[], isValid: (item: T) => boolean): Split<T> {
  const valid = new Set(items.filter(isValid));
  return { train: items.filter((item) => !valid.has(item)), valid: [...valid] };
}

function needShare(where: string, validShare: number): void {
  ensure(validShare >= 0 && validShare < 1, 'bad-argument', () => {
    return `${where}: expected validShare in [0, 1), got ${validShare}`;
  });
}

/** folderSplit: items below the top folder `validFolder` of their name are held out. */
export const folderSplit = <T extends Named>(items: readonly T[], validFolder = 'valid'): Split<T> =>
  functionSplit(items, (item) => item.name.startsWith(`${validFolder}/`));

/**
 * shareSplit: of n items round(`validShare` * n) are held out, but at least one (given two or more) and not all: those with the smallest
 * hashes of (seed, name). So few items are shared out as asked for, too. When items come or go, only those next to the border can
 * change sides, as many as the number held out changes by and as come or go on the held-out side.
 */
export function shareSplit<T extends Named>(items: readonly T[], validShare: number, seed: number): Split<T> {
  needShare('shareSplit', validShare);
  const chance = new Map(items.map((item) => [item, createRng(seed, 'split', item.name).next()]));
  const count = Math.min(items.length - 1, Math.max(validShare > 0 ? 1 : 0, Math.round(validShare * items.length)));
  const held = new Set([...items].sort((a, b) => chance.get(a)! - chance.get(b)!).slice(0, Math.max(0, count)));
  return functionSplit(items, (item) => held.has(item));
}

/**
 * randomSplit: about `validShare` (0..1) of the items are held out. Each item is decided alone, by a hash of
 * (seed, name): files that come or go never move another to the other side, so nothing trained on is later tested on.
 * If no item falls under the share, the one with the smallest hash is held out (given two or more).
 */
export function randomSplit<T extends Named>(items: readonly T[], validShare: number, seed: number): Split<T> {
  needShare('randomSplit', validShare);
  const chance = new Map(items.map((item) => [item, createRng(seed, 'split', item.name).next()]));
  let smallest = 1;
  for (const value of chance.values()) smallest = Math.min(smallest, value);
  const limit = validShare > 0 && items.length > 1 ? Math.max(validShare, smallest + Number.EPSILON) : validShare;
  return functionSplit(items, (item) => chance.get(item)! < limit);
}
