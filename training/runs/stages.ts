import type { Batch, Loader } from '../learner/options.ts';
import type { Size } from '../pictures/sizes.ts';

/** One step of progressive resizing: pictures of one size for some epochs. */
export interface SizeStage {
  readonly epochs: number;
  readonly size: Size;
  /** By how much training pictures are enlarged about a random place, at random: what a crop at a finer scale is. Below 1 padding shows. */
  readonly zoom?: readonly [low: number, high: number];
}

/** What is opened for a stage. */
interface StageLoaders {
  readonly train: Loader;
  close(): Promise<void>;
}

export interface StagedOptions<S> {
  readonly stages: readonly S[];
  /** Passes over the data that make an epoch; default 1. */
  readonly passes?: number;
  /** Batches of a pass. */
  readonly perPass: (stage: S) => number;
  readonly open: (stage: S) => Promise<StageLoaders>;
}

/** stageOf: the place in the list of the stage that an epoch belongs to; the last one for those after the end. */
export function stageOf(stages: readonly { readonly epochs: number }[], epoch: number): number {
  let before = 0;
  const found = stages.findIndex((stage) => {
    before += stage.epochs;
    return epoch < before;
  });
  return found === -1 ? stages.length - 1 : found;
}

/**
 * stagedLoader: training batches whose size grows from stage to stage. The loaders of a stage are opened when its first epoch
 * begins and let go when another's does.
 */
export function stagedLoader<S extends { readonly epochs: number }>({
  stages,
  passes = 1,
  perPass,
  open,
}: StagedOptions<S>): {
  readonly loader: Loader;
  close(): Promise<void>;
} {
  let current: { readonly index: number; readonly loaders: StageLoaders } | undefined;
  const close = async (): Promise<void> => {
    await current?.loaders.close();
    current = undefined;
  };
  const loadersOf = async (epoch: number): Promise<StageLoaders> => {
    const index = stageOf(stages, epoch);
    if (current?.index !== index) {
      await close();
      current = { index, loaders: await open(stages[index]!) };
    }
    return current.loaders;
  };
  async function* batches(epoch: number, { fromBatch = 0 } = {}): AsyncGenerator<Batch, void> {
    const { train } = await loadersOf(epoch);
    const length = perPass(stages[stageOf(stages, epoch)]!);
    for (let pass = Math.floor(fromBatch / length); pass < passes; pass++)
      yield* train.epoch(epoch * passes + pass, { fromBatch: Math.max(0, fromBatch - pass * length) });
  }
  const batchesIn = (epoch: number): number => passes * perPass(stages[stageOf(stages, epoch)]!);
  return { loader: { batchesPerEpoch: batchesIn(0), batchesIn, epoch: batches }, close };
}
