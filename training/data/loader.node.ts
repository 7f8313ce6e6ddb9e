import { ensure } from '../core/errors.ts';
import { type Tensor, tensor } from '../core/tensor.ts';
import { createWorkerPool } from '../core/worker-pool.node.ts';
import type { ImageItem, PairItem } from '../pictures/items.node.ts';
import type { BatchReply, BatchTask, ItemFailure, LoaderThreadData } from './loader-worker.node.ts';
import { epochOrder } from './order.ts';
import { checkSampleOptions, type Recipe, type SampleOptions } from './pair-sample.node.ts';

export type { ItemFailure } from './loader-worker.node.ts';
export type { Recipe } from './pair-sample.node.ts';

/** Mostly the lesson's damage, some plain JPEG, and some undamaged photos so that the model learns to leave them alone. */
export const defaultRecipes: readonly Recipe[] = [
  { weight: 0.75, damage: 'lesson', scale: 2 },
  { weight: 0.1, damage: 'jpeg', scale: 1 },
  { weight: 0.15, damage: 'none', scale: 1 },
];

/** Damaged (x) and whole (y) crops, f32[B,3,size,size] 0..1 RGB. Valid until the next step of the iteration. */
export interface PairBatch {
  readonly x: Tensor<'float32'>;
  readonly y: Tensor<'float32'>;
  /** The item that each sample shows, by name. */
  readonly items: readonly string[];
}

export interface PairLoaderOptions extends Partial<SampleOptions> {
  /** Photos to damage on the fly, or pairs from disk (`listPairs`), which are used as they are. */
  readonly items: readonly (ImageItem | PairItem)[];
  readonly size: number;
  readonly batchSize: number;
  readonly seed: number;
  /** Rounded up to whole batches, filled by a further shuffle of the items. Default: the number of items. */
  readonly samplesPerEpoch?: number;
  /** Threads that decode; default 1, which keeps up with a model that trains on the same cores. */
  readonly workers?: number;
  /** Batches made ahead; default workers + 1. Bounds the memory: each is 24 * batchSize * size^2 bytes. */
  readonly prefetch?: number;
  /** Pixels of decoded photos to keep, over all threads; default 0: decoded anew each time. Helps where all fit. */
  readonly cacheBytes?: number;
  /** Called once for each item that cannot be read; the next readable item takes its place. */
  readonly onFailure?: (failure: ItemFailure) => void;
}

/** Batches of paired crops. One epoch at a time. */
export interface PairLoader {
  readonly batchesPerEpoch: number;
  /** Items that could not be read so far. */
  readonly failures: readonly ItemFailure[];
  /** Batches `fromBatch` (default 0) .. batchesPerEpoch of an epoch: the same bytes for the same (seed, epoch). */
  epoch(epoch: number, options?: { readonly fromBatch?: number }): AsyncIterableIterator<PairBatch>;
  close(): Promise<void>;
}

/** createPairLoader: photos -> batches; decoding, damage, zoom, flip and crop happen in worker threads. */
export async function createPairLoader(options: PairLoaderOptions): Promise<PairLoader> {
  const { items, batchSize, seed, workers = 1, prefetch = workers + 1, cacheBytes = 0 } = options;
  const sample = sampleOptions(options);
  ensure(
    items.length > 0,
    'bad-data',
    () => 'createPairLoader: expected pictures, got an empty list; check the folder',
  );
  ensure(batchSize >= 1 && workers >= 1 && prefetch >= 1, 'bad-argument', () => {
    return `createPairLoader: expected batchSize, workers and prefetch >= 1, got ${batchSize}, ${workers}, ${prefetch}`;
  });
  const threadData: LoaderThreadData = { items: [...items], seed, options: sample, cacheBytes: cacheBytes / workers };
  const url = new URL('./loader-worker.node.js', import.meta.url);
  const pool = createWorkerPool<BatchTask, BatchReply>(url, workers, threadData);
  const batchesPerEpoch = Math.ceil((options.samplesPerEpoch ?? items.length) / batchSize);
  const failures = new Map<string, ItemFailure>();
  const free: ArrayBuffer[] = [];

  const note = (failure: ItemFailure): void => {
    if (failures.has(failure.name)) return;
    failures.set(failure.name, failure);
    options.onFailure?.(failure);
  };
  const bufferBytes = 2 * batchSize * 3 * sample.size ** 2 * Float32Array.BYTES_PER_ELEMENT;
  const takeBuffer = (): ArrayBuffer => free.pop() ?? new ArrayBuffer(bufferBytes);

  async function* epoch(number: number, { fromBatch = 0 } = {}): AsyncGenerator<PairBatch, undefined> {
    const order = epochOrder(items.length, batchesPerEpoch * batchSize, seed, number);
    const queue: Promise<BatchReply>[] = [];
    let asked = fromBatch;
    const ask = (): void => {
      if (asked >= batchesPerEpoch) return;
      const draws = order.slice(asked * batchSize, (asked + 1) * batchSize);
      const buffer = takeBuffer();
      const reply = pool.run({ epoch: number, draws, buffer }, [buffer]);
      reply.catch(() => {}); // reported where it is awaited
      queue.push(reply);
      asked++;
    };
    try {
      while (queue.length < prefetch && asked < batchesPerEpoch) ask();
      while (queue.length > 0) {
        const reply = await queue.shift()!;
        reply.failures.forEach(note);
        yield toBatch(reply, batchSize, sample.size);
        free.push(reply.buffer);
        ask();
      }
    } finally {
      // Left early: what is still being made comes back to the pool of buffers.
      for (const reply of queue) reply.then(({ buffer }) => free.push(buffer)).catch(() => {});
    }
  }

  return {
    batchesPerEpoch,
    get failures() {
      return [...failures.values()];
    },
    epoch,
    close: () => pool.close(),
  };
}

function sampleOptions(options: PairLoaderOptions): SampleOptions {
  const { size, flip = 0.5, recipes = defaultRecipes, textBias = 0, targetKernel = 'linear' } = options;
  const { shortSideMin = size, shortSideMax = Math.max(2 * size, shortSideMin) } = options;
  const sample: SampleOptions = { size, flip, recipes, textBias, targetKernel, shortSideMin, shortSideMax };
  checkSampleOptions(sample);
  return sample;
}

function toBatch({ buffer, names }: BatchReply, batchSize: number, size: number): PairBatch {
  const dims = [batchSize, 3, size, size];
  const length = batchSize * 3 * size ** 2;
  return {
    x: tensor('float32', dims, new Float32Array(buffer, 0, length)),
    y: tensor('float32', dims, new Float32Array(buffer, 4 * length, length)),
    items: names,
  };
}
