import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RestoreUnetConfig, restoreUnet, restoreUnetDefaults, unetMultiple } from '../../models/unet.ts';
import { ensure } from '../core/errors.ts';
import { encodePng } from '../data/image-io.node.ts';
import { type ImageItem, listImages, listPairs, type PairItem } from '../data/items.node.ts';
import type { ItemFailure, Recipe } from '../data/loader.node.ts';
import { imageGrid } from '../data/show.node.ts';
import { randomSplit } from '../data/split.ts';
import { createValidationPairs, type ValidationPair } from '../data/validation.node.ts';
import {
  checkpointCallback,
  checkpointFiles,
  prepareRunFolder,
  readLatest,
  restoreCheckpoint,
  writeDurably,
} from '../learner/checkpoint.node.ts';
import { type Callback, fitLoop } from '../learner/learner.ts';
import { type EpochRow, newProgress, type Progress, toCsv } from '../learner/recorder.ts';
import { decodeSafetensors } from '../learner/safetensors.ts';
import { compileOptimizer, type OpenGraph } from '../learner/trainer.ts';
import { importWeights } from '../nn/import.ts';
import { createScope, initialWeights, type ParamSpec, type Weights } from '../nn/scope.ts';
import { Graph } from '../onnx/graph.ts';
import { adamw } from '../optim/optimizers.ts';
import { oneCycle } from '../optim/schedules.ts';
import { createState, setWeights, type TrainState } from '../step/state.ts';
import {
  openRestoreEvaluation,
  type RestoredPair,
  type RestoreLoss,
  restoreSources,
  type Stage,
  scoreRestore,
} from './restore.node.ts';

/** What `fettle train restore` trains with unless told otherwise. Numbers of the lesson's look vary a little, so that others are erased too. */
export const restoreRecipes: readonly Recipe[] = [
  { weight: 0.7, damage: 'lesson:height=9-12:thickness=0.1-0.18:white=0.9-1', scale: 2 },
  { weight: 0.1, damage: 'jpeg:quality=20-90', scale: 2 },
  { weight: 0.08, damage: 'jpeg:quality=20-80', scale: 1 },
  { weight: 0.12, damage: 'none', scale: 1 },
];

/** Everything that decides the result of a run, besides the pictures. */
export interface RestoreRunConfig {
  readonly model: RestoreUnetConfig;
  readonly loss: RestoreLoss;
  readonly stages: readonly Stage[];
  readonly samplesPerEpoch: number;
  readonly lr: number;
  readonly wd: number;
  readonly pctStart: number;
  readonly shortSide: { readonly min: number; readonly max: number };
  readonly recipes: readonly Recipe[];
  readonly validShare: number;
  readonly seed: number;
}

export const restoreRunDefaults: RestoreRunConfig = {
  model: restoreUnetDefaults,
  loss: 'mse',
  stages: [
    { epochs: 12, size: 96, batchSize: 8 },
    { epochs: 12, size: 128, batchSize: 8 },
  ],
  samplesPerEpoch: 3600,
  lr: 1.5e-3,
  wd: 1e-3,
  pctStart: 0.1,
  shortSide: { min: 168, max: 256 },
  recipes: restoreRecipes,
  validShare: 0.1,
  seed: 1,
};

export interface RestoreRunOptions {
  readonly config: RestoreRunConfig;
  /** Folder of photos, and of their damaged copies where the user has such; else they are damaged on the fly. */
  readonly data: string;
  readonly damaged?: string;
  /** The run's folder: checkpoints, log, pictures. */
  readonly out: string;
  readonly resume: boolean;
  readonly open: OpenGraph;
  /** Weights of an exported model to start from; random ones when left out. */
  readonly start?: Weights;
  readonly workers?: number;
  readonly checkpointIntervalS?: number;
  readonly callbacks?: readonly Callback[];
  /** Words for the user as the run goes on. */
  readonly onNote?: (text: string) => void;
}

export interface RestoreRunResult {
  readonly rows: readonly EpochRow[];
  /** Weights of the epoch with the best held-out PSNR. */
  readonly weights: Weights;
  readonly best: EpochRow;
  /** Metrics of the weights that the run started from; set when it started from a model. */
  readonly before?: Readonly<Record<string, number>>;
  readonly trained: number;
  readonly heldOut: readonly (ImageItem | PairItem)[];
  readonly failures: readonly ItemFailure[];
}

/** Parameters of the model, in order. */
export function restoreSpecs(model: RestoreUnetConfig): readonly ParamSpec[] {
  const graph = new Graph('specs');
  const scope = createScope(graph, { training: false });
  const multiple = unetMultiple(model);
  restoreUnet(scope, graph.input('image', 'float32', [1, 3, multiple, multiple]), model);
  return scope.specs;
}

const decayMoment = { beta2: 0.99 };
/** Decoded photos kept in memory, so that a small data set is decoded once and a large one in bounded memory. */
const decodedCacheBytes = 3e8;

async function readItems({
  data,
  damaged,
  config,
}: RestoreRunOptions): Promise<{ train: readonly (ImageItem | PairItem)[]; valid: readonly (ImageItem | PairItem)[] }> {
  const items = damaged === undefined ? await listImages(data) : await listPairs(data, damaged);
  ensure(
    items.length >= 2,
    'bad-data',
    () => `train restore: expected at least two pictures in ${data}, got ${items.length}; check the folder`,
  );
  return randomSplit<ImageItem | PairItem>(items, config.validShare, config.seed);
}

/** The held-out pairs, kept in memory as 8-bit pictures; unreadable ones are noted. */
async function readPairs(
  items: readonly (ImageItem | PairItem)[],
  seed: number,
  onFailure: (failure: ItemFailure) => void,
): Promise<ValidationPair[]> {
  const source = createValidationPairs({ items, shortSide: 192, damage: 'lesson', seed });
  const pairs: ValidationPair[] = [];
  for (const [i, { name }] of items.entries()) {
    try {
      pairs.push(await source.pair(i));
    } catch (error) {
      onFailure({ name, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  ensure(
    pairs.length > 0,
    'bad-data',
    () =>
      `train restore: expected a readable held-out picture, got none of ${items.length}; add pictures or raise the held-out share`,
  );
  return pairs;
}

/** Writes input, prediction and target of a few held-out pictures, one row each. */
async function writeComparison(path: string, pairs: readonly RestoredPair[]): Promise<void> {
  const rows = pairs.map(({ input, restored, target }) => [input, restored, target]);
  await writeDurably(path, await encodePng(imageGrid(rows)));
}

/** Log and pictures of each epoch. */
function logCallback(out: string, lastPairs: () => readonly RestoredPair[]): Callback {
  return {
    name: 'log',
    afterEpoch: async ({ progress, row }) => {
      await writeDurably(join(out, 'log.csv'), toCsv(progress.rows));
      await writeComparison(join(out, `epoch-${String(row!.epoch).padStart(3, '0')}.png`), lastPairs());
    },
  };
}

/** Fresh, from a model, or from the run's checkpoint. */
async function startState(state: TrainState, options: RestoreRunOptions, run: string): Promise<Progress> {
  const latest = options.resume ? await readLatest(options.out) : undefined;
  if (latest !== undefined) {
    const progress = restoreCheckpoint(latest, state, run);
    options.onNote?.(`resuming at epoch ${progress.epoch}, batch ${progress.batch}`);
    return progress;
  }
  const start = options.start;
  setWeights(
    state,
    start === undefined ? initialWeights(state.specs, options.config.seed) : importWeights(state.specs, start),
  );
  return newProgress();
}

async function readBest(out: string): Promise<Weights> {
  const { tensors } = decodeSafetensors(await readFile(join(out, checkpointFiles.best)), checkpointFiles.best);
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

/** Trains a restoration model: the wiring of data, graphs, loop and files. Resumes exactly; see `fitLoop`. */
export async function runRestore(options: RestoreRunOptions): Promise<RestoreRunResult> {
  const { config, out, open, onNote } = options;
  await prepareRunFolder(out);
  ensure(
    options.resume || (await readLatest(out)) === undefined,
    'exists',
    () =>
      `train restore: expected a new folder, got ${out} with a checkpoint; add --resume to go on, or choose another --out`,
  );
  const { train, valid } = await readItems(options);
  const failures = new Map<string, ItemFailure>();
  const onFailure = (failure: ItemFailure): void => {
    if (!failures.has(failure.name)) onNote?.(`cannot use ${failure.name}: ${failure.reason}`);
    failures.set(failure.name, failure);
  };
  const pairs = await readPairs(valid, config.seed, onFailure);
  onNote?.(`${train.length} pictures to train on, ${pairs.length} held out`);
  const run = JSON.stringify({ config, train: train.map(({ name }) => name), fromModel: options.start !== undefined });
  const state = createState(restoreSpecs(config.model), { optimizer: adamw });
  const progress = await startState(state, options, run);
  const evaluation = await openRestoreEvaluation(config.model, config.loss, open);
  const optimizer = await compileOptimizer(adamw, state, open);
  const data = { ...config, cacheBytes: decodedCacheBytes, items: train, workers: options.workers ?? 1, onFailure };
  const sources = restoreSources(config.model, config.loss, data, open);
  const multiple = unetMultiple(config.model);
  const beforeScore = options.start !== undefined ? await scoreWeights() : undefined;
  let shown: readonly RestoredPair[] = [];

  async function scoreWeights(): Promise<Readonly<Record<string, number>>> {
    const probe = createState(state.specs, { optimizer: adamw });
    setWeights(probe, importWeights(state.specs, options.start!));
    return (await scoreRestore(evaluation, probe, pairs, multiple, 0)).metrics;
  }

  const { lr, mom } = oneCycle({ lrMax: config.lr, pctStart: config.pctStart });
  const log = logCallback(out, () => shown);
  const checkpoint = checkpointCallback({
    folder: out,
    run,
    intervalS: options.checkpointIntervalS ?? 120,
    best: { metric: 'psnr', higher: true },
  });
  try {
    const rows = await fitLoop({
      state,
      optimizer,
      progress,
      epochs: config.stages.reduce((sum, stage) => sum + stage.epochs, 0),
      totalBatches: sources.totalBatches,
      sourceOf: sources.sourceOf,
      hyperAt: (done) => ({ lr: lr(done), beta1: mom(done), wd: config.wd, ...decayMoment }),
      validate: async () => {
        const score = await scoreRestore(evaluation, state, pairs, multiple);
        shown = score.pairs;
        return score.metrics;
      },
      seed: config.seed,
      callbacks: [log, checkpoint, ...(options.callbacks ?? [])],
    });
    const best = rows.reduce((a, b) => (b.metrics.psnr! > a.metrics.psnr! ? b : a));
    return {
      rows,
      best,
      weights: await readBest(out),
      ...(beforeScore ? { before: beforeScore } : {}),
      trained: train.length,
      heldOut: valid,
      failures: [...failures.values()],
    };
  } finally {
    await sources.close();
    await Promise.all([evaluation.release(), optimizer.release()]);
  }
}
