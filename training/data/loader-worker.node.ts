import { workerData } from 'node:worker_threads';
import { ensure, FettleError, messageOf } from '../core/errors.ts';
import { serveTasks } from '../core/worker-pool.node.ts';
import type { ImageItem, PairItem } from '../pictures/items.node.ts';
import type { Draw } from './order.ts';
import { photoDecoder, type SampleOptions, type SampleViews, writeSample } from './pair-sample.node.ts';

/** What a loader's thread knows from its start. */
export interface LoaderThreadData {
  readonly items: readonly (ImageItem | PairItem)[];
  readonly seed: number;
  readonly options: SampleOptions;
  readonly cacheBytes: number;
}

/** One batch to fill: `buffer` holds x then y, f32[B,3,size,size] each, for `draws.length` = B samples. */
export interface BatchTask {
  readonly epoch: number;
  readonly draws: readonly Draw[];
  readonly buffer: ArrayBuffer;
}

/** An item that could not be read, and why. */
export interface ItemFailure {
  readonly name: string;
  readonly reason: string;
}

export interface BatchReply {
  readonly buffer: ArrayBuffer;
  readonly names: readonly string[];
  readonly failures: readonly ItemFailure[];
}

const { items, seed, options, cacheBytes } = workerData as LoaderThreadData;
const decode = photoDecoder(options, cacheBytes);
/** Items that failed in this thread, with their reasons: they are not tried again. */
const failed = new Map<number, string>();

/** Writes the draw's sample, or that of the next readable item of the list in its place; returns its index. */
async function fillSample({ item, round }: Draw, epoch: number, views: SampleViews): Promise<number> {
  for (let step = 0; step < items.length; step++) {
    const index = (item + step) % items.length;
    if (failed.has(index)) continue;
    try {
      await writeSample(items[index]!, [seed, 'sample', epoch, round, item], options, views, decode);
      return index;
    } catch (error) {
      // A recipe that cannot work is the caller's mistake, not the file's.
      if (error instanceof FettleError && error.code === 'bad-argument') throw error;
      failed.set(index, messageOf(error));
    }
  }
  const [first, reason] = [...failed][0]!;
  ensure(false, 'bad-data', () => {
    return `pair loader: expected readable pictures, got none in ${items.length} files (${items[first]!.name}: ${reason})`;
  });
}

serveTasks<BatchTask, BatchReply>(async ({ epoch, draws, buffer }) => {
  const length = 3 * options.size ** 2;
  const view = (sample: number): Float32Array => new Float32Array(buffer, 4 * length * sample, length);
  const before = failed.size;
  const names: string[] = [];
  for (const [i, draw] of draws.entries()) {
    const index = await fillSample(draw, epoch, { x: view(i), y: view(draws.length + i) });
    names.push(items[index]!.name);
  }
  const failures = [...failed].slice(before).map(([index, reason]) => ({ name: items[index]!.name, reason }));
  return { result: { buffer, names, failures }, transfer: [buffer] };
}, 3);
