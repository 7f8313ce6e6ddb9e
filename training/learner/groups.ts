import { ensure } from '../core/errors.ts';
import type { ParamSpec } from '../nn/scope.ts';

/** The parameter group of a parameter, by its name: 0 holds the earliest layers. */
export type ParamSplitter = (name: string) => number;

/** Groups by prefixes of names, earliest layers first; what no prefix fits is in the last group, which has none of its own. */
export function splitByPrefix(...groups: readonly (readonly string[])[]): ParamSplitter {
  return (name) => {
    const found = groups.findIndex((prefixes) => prefixes.some((one) => name === one || name.startsWith(`${one}.`)));
    return found === -1 ? groups.length : found;
  };
}

/** The number of groups that `splitter` makes of the parameters; throws `bad-argument` when one is left empty. */
export function countGroups(specs: readonly ParamSpec[], splitter: ParamSplitter): number {
  const used = new Set(specs.filter(({ kind }) => kind === 'param').map(({ name }) => splitter(name)));
  const count = Math.max(...used) + 1;
  for (let group = 0; group < count; group++) {
    ensure(used.has(group), 'bad-argument', () => {
      return `splitter: expected parameters in each of the groups 0..${count - 1}, got none in group ${group}; check the names`;
    });
  }
  return count;
}

const ownerOf = (name: string): string => name.slice(0, Math.max(0, name.lastIndexOf('.')));

/** Whether a parameter belongs to a layer that keeps running statistics, that is, a batch norm. */
export function normTest(specs: readonly ParamSpec[]): (name: string) => boolean {
  const owners = new Set(specs.filter(({ name }) => /(^|\.)running_mean$/.test(name)).map(({ name }) => ownerOf(name)));
  return (name) => owners.has(ownerOf(name));
}

/** Learning rates of the groups: see {@link slice}. */
export interface LearningRateSlice {
  readonly start?: number;
  readonly stop: number;
}
/** One rate for all groups, or a slice. */
export type LearningRate = number | LearningRateSlice;

/** slice(a): a for the last group, a / 10 for the others. slice(a, b): from a to b, each group by the same factor more. */
export const slice = (a: number, b?: number): LearningRateSlice =>
  b === undefined ? { stop: a } : { start: a, stop: b };

/** The rate of each of `groups` groups, earliest layers first. */
export function learningRates(lr: LearningRate, groups: number): readonly number[] {
  if (typeof lr === 'number') return Array.from({ length: groups }, () => lr);
  const { start, stop } = lr;
  return Array.from({ length: groups }, (_, i) => {
    if (i === groups - 1) return stop;
    return start === undefined ? stop / 10 : start * (stop / start) ** (i / (groups - 1));
  });
}

/** The rates times `factor`. */
export const scaleRate = (lr: LearningRate, factor: number): LearningRate =>
  typeof lr === 'number'
    ? lr * factor
    : { stop: lr.stop * factor, ...(lr.start === undefined ? {} : { start: lr.start * factor }) };
