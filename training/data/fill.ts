import { ensure, FettleError, messageOf } from '../core/errors.ts';
import type { Statistics } from '../pictures/transforms/normalise.ts';
import type { Draw } from './order.ts';
import { type Part, type SampleSpec, type SampleViews, xLength, yDType, yLength } from './sample.ts';
import type { LabelledItem } from './types.ts';

/** One batch to fill: `buffer` holds x then y of `draws.length` samples, 4 bytes an element. */
export interface FillTask {
  readonly part: Part;
  readonly epoch: number;
  readonly draws: readonly Draw[];
  readonly buffer: ArrayBuffer;
  readonly statistics: Statistics | undefined;
}

/** An item that could not be read, and why. */
export interface Failure {
  readonly name: string;
  readonly reason: string;
}

export interface FillReply {
  readonly buffer: ArrayBuffer;
  /** Of the samples that are there: the first of the buffer's. */
  readonly names: readonly string[];
  readonly failures: readonly Failure[];
}

/** What a filler works on. */
export interface FillerData {
  readonly items: Readonly<Record<Part, readonly LabelledItem[]>>;
  readonly spec: SampleSpec;
}

/** Which sample an item is for. Its random choices are keyed by it, so the same place gives the same bytes in any thread. */
export interface Place extends Draw {
  readonly part: Part;
  readonly epoch: number;
}

/** Makes an item's sample in `views`; x is normalised if `statistics` are given. Throws when the item cannot be read. */
export type Sampler = (
  item: LabelledItem,
  place: Place,
  views: SampleViews,
  statistics: Statistics | undefined,
) => Promise<void>;

/** Fills batches one after another. */
export type Filler = (task: FillTask) => Promise<FillReply>;

/** bufferBytes: of a batch of `count` samples. */
export const bufferBytes = (spec: SampleSpec, count: number): number => 4 * count * (xLength(spec) + yLength(spec));

/** viewsOf: sample `index` of `count` inside a batch's buffer. */
export function viewsOf(spec: SampleSpec, buffer: ArrayBuffer, count: number, index: number): SampleViews {
  const [xs, ys] = [xLength(spec), yLength(spec)];
  const at = 4 * (count * xs + index * ys);
  const y = yDType(spec) === 'int32' ? new Int32Array(buffer, at, ys) : new Float32Array(buffer, at, ys);
  return { x: new Float32Array(buffer, 4 * index * xs, xs), y };
}

/**
 * createFiller: makes the samples of batches. An item that cannot be read is tried once: in
 * training the next readable one takes its place, in validation it is omitted; either way it is reported.
 */
export function createFiller({ items, spec }: FillerData, sample: Sampler): Filler {
  const failed = { train: new Map<number, string>(), valid: new Map<number, string>() };
  /** How many of them have been reported: a task that throws reports none, and the next one does. */
  const reported = { train: 0, valid: 0 };

  const tryItem = async (index: number, draw: Draw, task: FillTask, views: SampleViews): Promise<boolean> => {
    const { part, epoch, statistics } = task;
    if (failed[part].has(index)) return false;
    try {
      await sample(items[part][index]!, { ...draw, part, epoch }, views, statistics);
      return true;
    } catch (error) {
      // Options that cannot work are the caller's mistake, not the file's.
      if (error instanceof FettleError && error.code === 'bad-argument') throw error;
      failed[part].set(index, messageOf(error));
      return false;
    }
  };
  const fillSample = async (draw: Draw, task: FillTask, views: SampleViews): Promise<string | undefined> => {
    const list = items[task.part];
    const tries = task.part === 'train' ? list.length : 1;
    for (let step = 0; step < tries; step++) {
      const index = (draw.item + step) % list.length;
      if (await tryItem(index, draw, task, views)) return list[index]!.name;
    }
    const [first, reason] = [...failed[task.part]][0]!;
    ensure(task.part === 'valid', 'bad-data', () => {
      return `data loader: expected readable training items, got none of ${list.length} (${list[first]!.name}: ${reason})`;
    });
    return undefined;
  };
  return async (task) => {
    const names: string[] = [];
    for (const draw of task.draws) {
      const views = viewsOf(spec, task.buffer, task.draws.length, names.length);
      const name = await fillSample(draw, task, views);
      if (name !== undefined) names.push(name);
    }
    const failures = [...failed[task.part]].slice(reported[task.part]);
    reported[task.part] = failed[task.part].size;
    const named = failures.map(([index, reason]) => ({ name: items[task.part][index]!.name, reason }));
    return { buffer: task.buffer, names, failures: named };
  };
}
