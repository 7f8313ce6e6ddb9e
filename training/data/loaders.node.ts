import { ensure } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';
import { type Tensor, tensor } from '../core/tensor.ts';
import { createWorkerPool } from '../core/worker-pool.node.ts';
import { channelStatistics, type Statistics } from '../pictures/transforms/normalise.ts';
import { checkLoaderOptions } from './check-options.ts';
import { samplerOf } from './decode.node.ts';
import { bufferBytes, createFiller, type Failure, type FillReply, type FillTask } from './fill.ts';
import type { FillThreadData } from './fill-worker.node.ts';
import { type Draw, epochOrder } from './order.ts';
import type { BlockPlan } from './plan.ts';
import { type Part, type SampleSpec, xDims, xLength, yDims, yDType, yLength } from './sample.ts';
import type { BlockBatch, LabelDTypes, LabelKind } from './types.ts';

/** Batches of one part. One epoch at a time. */
export interface DataLoader<K extends LabelKind> {
  readonly itemCount: number;
  readonly batchesPerEpoch: number;
  /** Samples of a full batch. */
  readonly batchSize: number;
  /** Items that could not be read so far, by name. */
  readonly failures: readonly Failure[];
  /**
   * Batches `fromBatch` (default 0) .. batchesPerEpoch of an epoch: the same bytes for the same (seed, epoch). Training
   * items come in a new order each epoch, validation items in their own.
   */
  epoch(epoch?: number, options?: { readonly fromBatch?: number }): AsyncIterableIterator<BlockBatch<K>>;
}

export interface DataLoaders<K extends LabelKind> {
  readonly train: DataLoader<K>;
  readonly valid: DataLoader<K>;
  /** Names of the classes by id. */
  readonly vocab: readonly string[];
  /** What x was normalised by, if it was. */
  readonly statistics: Statistics | undefined;
  readonly spec: SampleSpec;
  close(): Promise<void>;
}

export interface LoaderOptions {
  /** Decides order and every random choice; default 1. */
  readonly seed?: number;
  /** Threads that decode and transform; default 1. Pictures in memory need none. The result does not depend on it. */
  readonly workers?: number;
  /** Batches made ahead; default workers + 1. */
  readonly prefetch?: number;
  /** Pixels of decoded photos to keep, over all threads; default 0. */
  readonly cacheBytes?: number;
  /** Called once for each item that cannot be read. */
  readonly onFailure?: (failure: Failure) => void;
}

/** Makes batches, here or in threads. */
interface Source {
  fill(task: FillTask): Promise<FillReply>;
  close(): Promise<void>;
}

/** Pictures that are all in memory are sampled at once, on this thread; others in `workers` threads. */
function openSource<K extends LabelKind>(
  plan: BlockPlan<K>,
  { seed = 1, workers = 1, cacheBytes = 0 }: LoaderOptions,
): Source {
  const data = { items: { train: plan.train, valid: plan.valid }, spec: plan.spec };
  // Made here too, so that options that cannot work are reported before threads start.
  const sampler = samplerOf(plan.spec, seed, 0);
  const onDisk = [...plan.train, ...plan.valid].some(
    ({ source, target }) => typeof source === 'string' || typeof target === 'string',
  );
  if (!onDisk) return { fill: createFiller(data, sampler), close: async () => {} };
  const url = new URL('./fill-worker.node.js', import.meta.url);
  const threadData: FillThreadData = { ...data, seed, cacheBytes: cacheBytes / workers };
  const pool = createWorkerPool<FillTask, FillReply>(url, workers, threadData);
  return { fill: (task) => pool.run(task, [task.buffer]), close: () => pool.close() };
}

/** The samples that are in a filled buffer, as tensors over it. */
function toBatch<K extends LabelKind>({ buffer, names }: FillReply, spec: SampleSpec, slots: number): BlockBatch<K> {
  const [count, xs, ys] = [names.length, xLength(spec), yLength(spec)];
  const dtype = yDType(spec);
  const Data = dtype === 'int32' ? Int32Array : Float32Array;
  return {
    x: tensor('float32', [count, ...xDims(spec)], new Float32Array(buffer, 0, count * xs)),
    y: tensor(dtype, [count, ...yDims(spec)], new Data(buffer, 4 * slots * xs, count * ys)) as Tensor<LabelDTypes[K]>,
    items: names,
  };
}

/** Which items each batch of an epoch shows. */
function batchDraws<K extends LabelKind>(
  { train, valid, batchSize, lastBatch, samplesPerEpoch }: BlockPlan<K>,
  part: Part,
  seed: number,
) {
  const count = part === 'train' ? train.length : valid.length;
  const size = batchSize[part];
  const wanted = part === 'train' ? samplesPerEpoch : count;
  const whole = part === 'train' && lastBatch === 'drop' ? Math.floor(wanted / size) : Math.ceil(wanted / size);
  const samples = part === 'train' && lastBatch !== 'keep' ? whole * size : count;
  const order = (epoch: number): Draw[] =>
    part === 'train'
      ? epochOrder(count, samples, seed, epoch)
      : Array.from({ length: count }, (_, item) => ({ item, round: 0 }));
  return { batches: whole, order, size, count };
}

/** What the parts of a set of loaders share. */
interface Shared<K extends LabelKind> {
  readonly plan: BlockPlan<K>;
  readonly source: Source;
  readonly seed: number;
  readonly prefetch: number;
  readonly statistics: Statistics | undefined;
  readonly failures: Readonly<Record<Part, ReadonlyMap<string, Failure>>>;
}

/** `source`, with the failures of each part gathered from every reply, also from those that nobody waits for. */
function withFailures(source: Source, onFailure: ((failure: Failure) => void) | undefined) {
  const failures = { train: new Map<string, Failure>(), valid: new Map<string, Failure>() };
  const fill = async (task: FillTask): Promise<FillReply> => {
    const reply = await source.fill(task);
    for (const failure of reply.failures) {
      if (failures[task.part].has(failure.name)) continue;
      failures[task.part].set(failure.name, failure);
      onFailure?.(failure);
    }
    return reply;
  };
  return { failures, source: { fill, close: () => source.close() } };
}

function createLoader<K extends LabelKind>(shared: Shared<K>, part: Part): DataLoader<K> {
  const { plan, source, seed, prefetch, statistics } = shared;
  const { batches, order, size, count } = batchDraws(plan, part, seed);
  const failures = shared.failures[part];
  const free: ArrayBuffer[] = [];
  const transforms = plan.batchTransforms.filter(({ on = 'train' }) => on === part || on === 'both');
  const finish = (reply: FillReply, slots: number, epoch: number, index: number): BlockBatch<K> => {
    const batch = toBatch<K>(reply, plan.spec, slots);
    return transforms.reduce((b, { name, apply }) => apply(b, createRng(seed, 'batch', name, epoch, index)), batch);
  };

  async function* epoch(number = 0, { fromBatch = 0 } = {}): AsyncGenerator<BlockBatch<K>, undefined> {
    const draws = order(number);
    const queue: { readonly reply: Promise<FillReply>; readonly slots: number; readonly index: number }[] = [];
    let asked = fromBatch;
    const ask = (): void => {
      if (asked >= batches) return;
      const part_ = draws.slice(asked * size, (asked + 1) * size);
      const buffer = free.pop() ?? new ArrayBuffer(bufferBytes(plan.spec, size));
      const reply = source.fill({ part, epoch: number, draws: part_, buffer, statistics });
      reply.catch(() => {}); // reported where it is awaited
      queue.push({ reply, slots: part_.length, index: asked++ });
    };
    try {
      while (queue.length < prefetch && asked < batches) ask();
      while (queue.length > 0) {
        const { reply, slots, index } = queue.shift()!;
        const filled = await reply;
        // A validation batch of unreadable items alone is empty.
        if (filled.names.length > 0) yield finish(filled, slots, number, index);
        free.push(filled.buffer);
        ask();
      }
    } finally {
      // Left early: what is still being made comes back to the pool of buffers.
      for (const { reply } of queue) reply.then(({ buffer }) => free.push(buffer)).catch(() => {});
    }
  }

  return {
    itemCount: count,
    batchesPerEpoch: batches,
    batchSize: size,
    get failures() {
      return [...failures.values()];
    },
    epoch,
  };
}

/** Statistics of the first training batch, as it is before normalising. */
async function firstBatchStatistics<K extends LabelKind>(
  plan: BlockPlan<K>,
  source: Source,
  seed: number,
): Promise<Statistics> {
  const { order, size } = batchDraws(plan, 'train', seed);
  const draws = order(0).slice(0, size);
  const buffer = new ArrayBuffer(bufferBytes(plan.spec, draws.length));
  const reply = await source.fill({ part: 'train', epoch: 0, draws, buffer, statistics: undefined });
  const statistics = channelStatistics(toBatch(reply, plan.spec, draws.length).x);
  ensure(
    statistics.std.every((std) => std > 0),
    'bad-data',
    () => {
      return `normalise: expected training pictures that differ, got standard deviations [${statistics.std}]; give the statistics`;
    },
  );
  return statistics;
}

/** openLoaders: the loaders of a planned block; {@link createDataLoaders} plans and opens in one. */
export async function openLoaders<K extends LabelKind>(
  plan: BlockPlan<K>,
  options: LoaderOptions = {},
): Promise<DataLoaders<K>> {
  checkLoaderOptions(options);
  const { seed = 1, workers = 1, prefetch = workers + 1, onFailure } = options;
  const { source, failures } = withFailures(openSource(plan, options), onFailure);
  const { normalise } = plan;
  try {
    const statistics =
      normalise === 'batch'
        ? await firstBatchStatistics(plan, source, seed)
        : normalise === 'none'
          ? undefined
          : normalise;
    const shared: Shared<K> = { plan, source, seed, prefetch, statistics, failures };
    const [train, valid] = [createLoader(shared, 'train'), createLoader(shared, 'valid')];
    return { train, valid, vocab: plan.vocab, statistics, spec: plan.spec, close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}
