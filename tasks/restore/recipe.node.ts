import { join, resolve, sep } from 'node:path';
import { type RestoreUnetConfig, restoreUnet, restoreUnetDefaults, unetMultiple } from '../../models/unet.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import { ensure, FettleError, messageOf } from '../../training/core/errors.ts';
import { createRng } from '../../training/core/rng.ts';
import type { ItemFailure, Recipe } from '../../training/data/loader.node.ts';
import { randomSplit } from '../../training/data/split.ts';
import { createValidationPairs, type ValidationPair } from '../../training/data/validation.node.ts';
import { type CompiledEvaluation, compileOptimizer, type OpenGraph } from '../../training/loop/compile.ts';
import { type Callback, type FitOptions, fitLoop } from '../../training/loop/fit-loop.ts';
import { type EpochRow, newProgress, type Progress, toCsv } from '../../training/loop/recorder.ts';
import { importWeights } from '../../training/nn/import.ts';
import { createScope, initialWeights, type ParamSpec, type Weights } from '../../training/nn/scope.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import { oneCycle } from '../../training/optim/schedules.ts';
import { readHeader } from '../../training/pictures/decode.node.ts';
import { imageGrid } from '../../training/pictures/grid.node.ts';
import { encodePng } from '../../training/pictures/image-io.node.ts';
import { type ImageItem, listImages, listPairs, type PairItem } from '../../training/pictures/items.node.ts';
import { shortSideOf } from '../../training/pictures/sizes.ts';
import {
  checkpointCallback,
  hasCheckpoint,
  prepareRunFolder,
  resumeFrom,
} from '../../training/runs/checkpoint.node.ts';
import { hashOfWeights, readBest, stopCallback } from '../../training/runs/run-parts.node.ts';
import { createState, setWeights, type TrainState } from '../../training/step/state.ts';
import {
  openRestoreEvaluation,
  type RestoredPair,
  type RestoreLoss,
  type RestoreScore,
  restoreSources,
  type Stage,
  scoreRestore,
} from './net.node.ts';

/** What `fettle train restore` trains with unless told otherwise. Numbers of the lesson's look vary a
 * little, so that others are erased too.
 */
const restoreRecipes: readonly Recipe[] = [
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
  /** Aborting it ends the run after the batch that is being worked on, with a checkpoint; `runRestore` then throws `stopped`. */
  readonly signal?: AbortSignal;
  /** Words for the user as the run goes on. */
  readonly onNote?: (text: string) => void;
}

type Item = ImageItem | PairItem;

export interface RestoreRunResult {
  readonly rows: readonly EpochRow[];
  /** Weights of the epoch with the best held-out PSNR. */
  readonly weights: Weights;
  readonly best: EpochRow;
  /** Metrics of the weights that the run started from; set when it started from a model. */
  readonly before?: Readonly<Record<string, number>>;
  readonly trained: number;
  /** The held-out pictures that the metrics are over. */
  readonly heldOut: readonly Item[];
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

/** Held-out pictures beyond these are not looked at: more would not tell more, and each epoch has to wait for them. */
const mostScored = 400;

interface Items {
  readonly train: readonly Item[];
  readonly valid: readonly Item[];
}

/** The pictures on both sides of the split; what runs have written into the folder themselves is not among them. */
async function readItems({ data, damaged, out, config }: RestoreRunOptions): Promise<Items> {
  const found: readonly Item[] = damaged === undefined ? await listImages(data) : await listPairs(data, damaged);
  const items = found.filter(({ path }) => !resolve(path).startsWith(resolve(out) + sep));
  ensure(
    items.length >= 2,
    'bad-data',
    () => `train restore: expected at least two pictures in ${data}, got ${items.length}; check the folder`,
  );
  const { train, valid } = randomSplit(items, config.validShare, config.seed);
  await needLargeEnough(train, Math.max(...config.stages.map((stage) => stage.size)));
  const scored = new Set(createRng(config.seed, 'scored').shuffle(valid).slice(0, mostScored));
  return { train, valid: valid.filter((item) => scored.has(item)) };
}

/** Throws unless a picture can be cropped in the last stage, rather than after hours of the first. */
async function needLargeEnough(train: readonly Item[], side: number): Promise<void> {
  let best = 0;
  for (const { path } of train) {
    best = Math.max(best, await readHeader(path).then(shortSideOf, () => 0));
    if (best >= side) return;
  }
  ensure(best > 0, 'bad-data', () => `train restore: expected readable pictures, got none of ${train.length}`);
  ensure(false, 'bad-data', () => {
    return `train restore: expected a picture with a short side of at least ${side} px, got ${best} at most; choose a smaller --size`;
  });
}

/** Crops must fit the network's strides. */
function checkStages({ stages, model }: RestoreRunConfig): void {
  const multiple = unetMultiple(model);
  const bad = stages.find(({ size }) => size % multiple !== 0)?.size;
  ensure(bad === undefined, 'bad-argument', () => {
    const below = Math.floor(bad! / multiple) * multiple;
    return `train restore: expected a crop size that is a multiple of ${multiple}, got ${bad}; try ${below} or ${below + multiple}`;
  });
}

/** Held-out pictures with their pairs, kept in memory at 8 bits; unreadable ones are noted. */
async function readPairs(
  items: readonly Item[],
  seed: number,
  onFailure: (failure: ItemFailure) => void,
): Promise<{ readonly item: Item; readonly pair: ValidationPair }[]> {
  const source = createValidationPairs({ items, shortSide: 192, damage: 'lesson', seed });
  const pairs: { readonly item: Item; readonly pair: ValidationPair }[] = [];
  for (const [i, item] of items.entries()) {
    try {
      pairs.push({ item, pair: await source.pair(i) });
    } catch (error) {
      onFailure({ name: item.name, reason: messageOf(error) });
    }
  }
  ensure(
    pairs.length > 0,
    'bad-data',
    () => `train restore: expected a readable held-out picture, got none of ${items.length}; add pictures`,
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
    numbers: [],
    afterEpoch: async ({ progress, row }) => {
      await writeDurably(join(out, 'log.csv'), toCsv(progress.rows));
      await writeComparison(join(out, `epoch-${String(row!.epoch).padStart(3, '0')}.png`), lastPairs());
    },
  };
}

/** What decides the result: a run is resumed only with the same. */
function describeRun({ config, damaged, start }: RestoreRunOptions, { train, valid }: Items): string {
  const names = (items: readonly Item[]): readonly string[] => items.map(({ name }) => name);
  const startedFrom = start === undefined ? null : hashOfWeights(start);
  return JSON.stringify({
    config,
    damagedOnDisk: damaged !== undefined,
    startedFrom,
    train: names(train),
    valid: names(valid),
  });
}

/** Fresh, from a model, or from the run's checkpoint. */
async function startState(state: TrainState, options: RestoreRunOptions, run: string): Promise<Progress> {
  const { out, resume, start, config, onNote } = options;
  const progress = resume ? await resumeFrom(out, state, run, onNote) : undefined;
  if (progress !== undefined) {
    onNote?.(`resuming at epoch ${progress.epoch}, batch ${progress.batch}`);
    return progress;
  }
  setWeights(state, start === undefined ? initialWeights(state.specs, config.seed) : importWeights(state.specs, start));
  return newProgress();
}

/** Metrics of the weights that the run starts from. */
async function scoreStart(
  evaluation: CompiledEvaluation,
  { specs }: TrainState,
  start: Weights,
  score: (evaluation: CompiledEvaluation, state: TrainState) => Promise<RestoreScore>,
): Promise<Readonly<Record<string, number>>> {
  const probe = createState(specs, { optimizer: adamw });
  setWeights(probe, importWeights(specs, start));
  return (await score(evaluation, probe)).metrics;
}

/** The run's folder, taken and ready to be written to; gives what lets it go. */
async function openFolder({ out, resume }: RestoreRunOptions): Promise<() => Promise<void>> {
  ensure(
    resume || !(await hasCheckpoint(out)),
    'exists',
    () =>
      `train restore: expected a new folder, got ${out} with a checkpoint; add --resume to go on, or choose another --out`,
  );
  return prepareRunFolder(out);
}

/** Remembers which pictures could not be used, and says so once for each. */
function failureList(onNote: RestoreRunOptions['onNote']): {
  readonly all: Map<string, ItemFailure>;
  readonly add: (failure: ItemFailure) => void;
} {
  const all = new Map<string, ItemFailure>();
  const add = (failure: ItemFailure): void => {
    if (!all.has(failure.name)) onNote?.(`cannot use ${failure.name}: ${failure.reason}`);
    all.set(failure.name, failure);
  };
  return { all, add };
}

/** Trains a restoration model: the wiring of data, graphs, loop and files. Resumes exactly; see `fitLoop`. */
export async function runRestore(options: RestoreRunOptions): Promise<RestoreRunResult> {
  checkStages(options.config);
  const items = await readItems(options);
  const release = await openFolder(options);
  try {
    return await trainRestore(options, items);
  } finally {
    await release();
  }
}

/** The run, once its folder is taken. */
async function trainRestore(options: RestoreRunOptions, items: Items): Promise<RestoreRunResult> {
  const { config, out, open, onNote, start } = options;
  const failures = failureList(onNote);
  const held = await readPairs(items.valid, config.seed, failures.add);
  onNote?.(`${items.train.length} pictures to train on, ${held.length} held out`);
  const run = describeRun(options, items);
  const state = createState(restoreSpecs(config.model), { optimizer: adamw });
  const progress = await startState(state, options, run);
  const evaluation = await openRestoreEvaluation(config.model, config.loss, open);
  const optimizer = await compileOptimizer(adamw, state, open);
  const { workers = 1 } = options;
  const data = { ...config, cacheBytes: decodedCacheBytes, items: items.train, workers, onFailure: failures.add };
  const sources = restoreSources(config.model, config.loss, data, open);
  const pairs = held.map(({ pair }) => pair);
  const score = (graph: CompiledEvaluation, of: TrainState): Promise<RestoreScore> =>
    scoreRestore(graph, of, pairs, unetMultiple(config.model));
  let shown: readonly RestoredPair[] = [];
  try {
    const before = start === undefined ? undefined : await scoreStart(evaluation, state, start, score);
    const rows = await fitLoop({
      state,
      optimizer,
      progress,
      epochs: epochsOf(config),
      totalBatches: sources.totalBatches,
      sourceOf: sources.sourceOf,
      hyperAt: hyperOf(config),
      validate: async () => {
        const { metrics, pairs: first } = await score(evaluation, state);
        shown = first;
        return metrics;
      },
      seed: config.seed,
      callbacks: [logCallback(out, () => shown), ...runCallbacks(options, run)],
    });
    needFinished(options, progress);
    return {
      rows,
      ...(await readBest(out, rows)),
      ...(before ? { before } : {}),
      trained: items.train.length,
      heldOut: held.map(({ item }) => item),
      failures: [...failures.all.values()],
    };
  } finally {
    await sources.close();
    await Promise.all([evaluation.release(), optimizer.release()]);
  }
}

const epochsOf = ({ stages }: RestoreRunConfig): number => stages.reduce((sum, { epochs }) => sum + epochs, 0);

function hyperOf(config: RestoreRunConfig): FitOptions['hyperAt'] {
  const { lr, mom } = oneCycle({ lrMax: config.lr, pctStart: config.pctStart });
  return (done) => ({ lr: lr(done), beta1: mom(done), wd: config.wd, ...decayMoment });
}

function runCallbacks(
  { out, checkpointIntervalS = 120, signal, callbacks = [] }: RestoreRunOptions,
  run: string,
): Callback[] {
  const best = { metric: 'psnr', higher: true };
  return [
    stopCallback(signal),
    checkpointCallback({ folder: out, run, intervalS: checkpointIntervalS, best }),
    ...callbacks,
  ];
}

function needFinished({ config, out }: RestoreRunOptions, { epoch, batch }: Progress): void {
  const epochs = epochsOf(config);
  if (epoch >= epochs) return;
  throw new FettleError(
    'stopped',
    `train restore: expected ${epochs} epochs, got stopped at epoch ${epoch}, batch ${batch}; what is done is in ${out}, the same command with --resume goes on`,
  );
}
