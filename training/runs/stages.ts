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

/** The stages in the same proportions over `epochs` epochs; those that get none are dropped. */
export function spread<T extends { readonly epochs: number }>(stages: readonly T[], epochs: number): T[] {
  const total = stages.reduce((sum, stage) => sum + stage.epochs, 0);
  let before = 0;
  let done = 0;
  return stages
    .map((stage) => {
      before += stage.epochs;
      const until = Math.round((before / total) * epochs);
      const share = until - done;
      done = until;
      return { ...stage, epochs: share };
    })
    .filter((stage) => stage.epochs > 0);
}

/** Settings of a run whose pictures grow from stage to stage. */
interface GrowingRun {
  readonly stages: readonly SizeStage[];
  readonly validSize: Size;
  readonly batchSize: number;
  readonly lr: number;
  readonly seed: number;
}

/** What a user may change of them; each is that of the run by default. */
export interface GrowingOptions {
  readonly size?: number | undefined;
  readonly batch?: number | undefined;
  readonly epochs?: number | undefined;
  readonly lr?: number | undefined;
  readonly seed: number;
}

/** growing: the run with other settings; `size` replaces `side` pixels, and all sizes keep their proportions to it. */
export function growing<Run extends GrowingRun>(
  run: Run,
  { size, batch = run.batchSize, epochs, lr = run.lr, seed }: GrowingOptions,
  side: number,
): Run {
  const factor = (size ?? side) / side;
  const scaled = ({ width, height }: Size): Size => ({
    width: Math.round(width * factor),
    height: Math.round(height * factor),
  });
  const stages = epochs === undefined ? run.stages : spread(run.stages, epochs);
  return {
    ...run,
    stages: stages.map((stage) => ({ ...stage, size: scaled(stage.size) })),
    validSize: scaled(run.validSize),
    batchSize: batch,
    lr,
    seed,
  };
}
