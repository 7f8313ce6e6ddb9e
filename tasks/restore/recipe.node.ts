import { join, resolve, sep } from 'node:path';
import { type RestoreUnetConfig, restoreUnetDefaults, unetMultiple } from '../../models/unet.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import { ensure } from '../../training/core/errors.ts';
import { createRng } from '../../training/core/rng.ts';
import { createDataLoaders, dataBlock } from '../../training/data/block.node.ts';
import type { Recipe } from '../../training/data/damage-spec.ts';
import type { Failure } from '../../training/data/fill.ts';
import { damaged } from '../../training/data/labellers.ts';
import { randomSplit } from '../../training/data/split.ts';
import { noSplit } from '../../training/data/splitters.ts';
import { createLearner, type Learner } from '../../training/learner/learner.ts';
import type { LearnerData } from '../../training/learner/options.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../training/loop/recorder.ts';
import { importWeights } from '../../training/nn/import.ts';
import type { Weights } from '../../training/nn/scope.ts';
import { readHeader } from '../../training/pictures/decode.node.ts';
import { imageGrid } from '../../training/pictures/grid.ts';
import { encodePng } from '../../training/pictures/image-io.node.ts';
import { listImages, listPairs } from '../../training/pictures/items.node.ts';
import { shortSideOf } from '../../training/pictures/sizes.ts';
import type { RecipeOptions, RunOptions } from '../../training/runs/run-options.ts';
import { hashOfWeights, needFresh, readBest, trainRun, withLearner } from '../../training/runs/run-parts.node.ts';
import { stagedLoader } from '../../training/runs/stages.ts';
import { type HeldOut, type Item, readHeldOut } from './held-out.node.ts';
import { type RestoreLoss, restoreParts } from './net.ts';
import { countDamaged, restoreMetrics, restorePair, wholePictures } from './score.ts';

/** What `fettle train restore` trains with by default. Numbers of the lesson's look vary a little, so that others are erased too. */
const restoreRecipes: readonly Recipe[] = [
  { weight: 0.7, damage: 'lesson:height=9-12:thickness=0.1-0.18:white=0.9-1', scale: 2 },
  { weight: 0.1, damage: 'jpeg:quality=20-90', scale: 2 },
  { weight: 0.08, damage: 'jpeg:quality=20-80', scale: 1 },
  { weight: 0.12, damage: 'none', scale: 1 },
];

/** One step of progressive resizing: crops of one size for some epochs. */
export interface Stage {
  readonly epochs: number;
  readonly size: number;
  readonly batchSize: number;
}

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

interface FolderOptions {
  /** Damaged copies of the photos, of the same names; by default photos are damaged on the fly. */
  readonly damaged?: string;
}
/** `data` is a folder of photos; those in `out`, which a run has written there itself, are not among them. */
export type RestoreLearnerOptions = RecipeOptions<RestoreRunConfig, string> & FolderOptions & { readonly out?: string };
export type RestoreRunOptions = RunOptions<RestoreRunConfig, string> &
  FolderOptions & { readonly checkpointIntervalS?: number };

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
  readonly failures: readonly Failure[];
}

/** Decoded photos kept in memory, so that a small data set is decoded once and a large one in bounded memory. */
const decodedCacheBytes = 3e8;

/** Held-out pictures beyond these are not looked at: more would add little, and each epoch has to wait for them. */
const mostScored = 400;

interface Items {
  readonly train: readonly Item[];
  readonly valid: readonly Item[];
}

/** The pictures on both sides of the split; what runs have written into the folder themselves is not among them. */
async function readItems({ data, damaged, out, config }: RestoreLearnerOptions): Promise<Items> {
  const found: readonly Item[] = damaged === undefined ? await listImages(data) : await listPairs(data, damaged);
  const items = found.filter(({ path }) => out === undefined || !resolve(path).startsWith(resolve(out) + sep));
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

/** Remembers which pictures could not be used, and reports each once. */
function failureList(onNote: RestoreRunOptions['onNote']) {
  const all = new Map<string, Failure>();
  const add = (failure: Failure): void => {
    if (!all.has(failure.name)) onNote?.(`cannot use ${failure.name}: ${failure.reason}`);
    all.set(failure.name, failure);
  };
  return { all, add };
}

/** Crops of the training pictures, whose sizes grow from stage to stage. */
function openTraining(
  { config, workers = 1 }: RestoreLearnerOptions,
  items: readonly Item[],
  onFailure: (failure: Failure) => void,
) {
  const { recipes, samplesPerEpoch, shortSide, seed, stages } = config;
  const blockOf = ({ size, batchSize }: Stage) =>
    dataBlock({
      get: (all: readonly Item[]) => all,
      split: noSplit(),
      label: damaged<Item>({
        recipes,
        shortSide: { min: Math.max(shortSide.min, size), max: Math.max(shortSide.max, size) },
        copyOf: (item) => ('damagedPath' in item ? item.damagedPath : undefined),
      }),
      size,
      batchSize,
      samplesPerEpoch,
    });
  return stagedLoader({
    stages,
    perPass: ({ batchSize }) => Math.ceil(samplesPerEpoch / batchSize),
    open: (stage) =>
      createDataLoaders(blockOf(stage), items, { seed, workers, cacheBytes: decodedCacheBytes, onFailure }),
  });
}

/** The net with its loss, metrics and starting weights. */
async function learnerOf({ config, open, start }: RestoreLearnerOptions, data: LearnerData): Promise<Learner> {
  const learner = await createLearner({
    ...restoreParts(config.model, config.loss),
    data,
    open,
    hyper: { beta2: 0.99 },
    lr: config.lr,
    wd: config.wd,
    metrics: restoreMetrics,
    countTargets: countDamaged,
    seed: config.seed,
  });
  if (start !== undefined) learner.load(importWeights(learner.state.specs, start));
  return learner;
}

/** openLearner: the learner of a run, with its data; `close` releases both. Throws `bad-data` when there are too few or too small pictures. */
export async function openLearner(options: RestoreLearnerOptions) {
  const { config, onNote } = options;
  checkStages(config);
  const items = await readItems(options);
  const failures = failureList(onNote);
  const held = await readHeldOut(items.valid, config.seed, failures.add);
  onNote?.(`${items.train.length} pictures to train on, ${held.length} held out`);
  const train = openTraining(options, items.train, failures.add);
  const valid = wholePictures(held, unetMultiple(config.model));
  return withLearner(
    { items, held, failures: failures.all },
    () => learnerOf(options, { train: train.loader, valid }),
    train.close,
  );
}

/** Input, prediction and target of a few held-out pictures after each epoch, one row each. */
const pictureCallback = (out: string, held: readonly HeldOut[], learner: Learner): Callback => ({
  name: 'picture',
  numbers: ['params', 'buffers'],
  afterValidate: async ({ row }) => {
    const rows = [];
    for (const { pair } of held.slice(0, 4)) rows.push(await restorePair(learner, pair, learner.options.freeSize));
    const path = join(out, `epoch-${String(row!.epoch).padStart(3, '0')}.png`);
    await writeDurably(path, await encodePng(imageGrid(rows)));
  },
});

const resumeNote = (onNote: RestoreRunOptions['onNote']): Callback => ({
  name: 'resumeNote',
  numbers: [],
  beforeFit: ({ progress: { epoch, batch } }) => {
    if (epoch + batch > 0) onNote?.(`resuming at epoch ${epoch}, batch ${batch}`);
  },
});

/** Trains a restoration model: the wiring of data, net, loss and files. Resumes exactly. */
export async function runRestore(options: RestoreRunOptions): Promise<RestoreRunResult> {
  const { config, damaged, out, resume, start, checkpointIntervalS, onNote } = options;
  await needFresh('train restore', out, resume);
  const { learner, items, held, failures, close } = await openLearner(options);
  try {
    const before = start === undefined ? undefined : await learner.validate();
    const names = (of: readonly Item[]): readonly string[] => of.map(({ name }) => name);
    const { rows, phase } = await trainRun('train restore', learner, options, {
      facts: {
        config,
        damagedOnDisk: damaged !== undefined,
        startedFrom: hashOfWeights(start),
        train: names(items.train),
        valid: names(items.valid),
      },
      callbacks: [resumeNote(onNote), pictureCallback(out, held, learner)],
      best: { metric: 'psnr', higher: true },
      epochs: config.stages.reduce((sum, stage) => sum + stage.epochs, 0),
      lr: config.lr,
      cycle: { pctStart: config.pctStart },
      ...(checkpointIntervalS === undefined ? {} : { intervalS: checkpointIntervalS }),
    });
    return {
      rows,
      ...(await readBest(phase)),
      ...(before ? { before } : {}),
      trained: items.train.length,
      heldOut: held.map(({ item }) => item),
      failures: [...failures.values()],
    };
  } finally {
    await close();
  }
}
