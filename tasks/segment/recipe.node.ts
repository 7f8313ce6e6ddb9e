import { unetGroups } from '../../models/dynamic-unet.ts';
import { smallEncoder } from '../../models/small-encoder.ts';
import { ensure } from '../../training/core/errors.ts';
import { dataBlock } from '../../training/data/block.node.ts';
import { mask } from '../../training/data/labellers.ts';
import { openLoaders } from '../../training/data/loaders.node.ts';
import { splitByFunction } from '../../training/data/splitters.ts';
import { ema } from '../../training/learner/callbacks/ema.ts';
import { gradientClip } from '../../training/learner/callbacks/gradients.ts';
import { splitByPrefix } from '../../training/learner/groups.ts';
import { createLearner, type Learner } from '../../training/learner/learner.ts';
import { accCamvid, dice, iou, iouPerClass, type Metric } from '../../training/learner/metrics.ts';
import type { LearnerData } from '../../training/learner/options.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../training/loop/recorder.ts';
import type { Weights } from '../../training/nn/scope.ts';
import * as o from '../../training/ops/build.ts';
import type { Size } from '../../training/pictures/sizes.ts';
import type { Transform, TransformSet } from '../../training/pictures/transforms/augment.ts';
import {
  hashOfWeights,
  keptStart,
  needFresh,
  readBest,
  trainRun,
  withLearner,
} from '../../training/runs/run-parts.node.ts';
import { type SizeStage, stagedLoader } from '../../training/runs/stages.ts';
import type { MaskedItem, SegmentData } from './folder.node.ts';
import { checkPairs, type SegmentHealth } from './health.node.ts';
import { balancedWeights, type SegmentNetConfig, segmentLoss, segmentNet, segmentNetDefaults } from './net.ts';
import { drawMistakes, pictureCallback } from './pictures.node.ts';
import { startWeights } from './start.ts';

/** Everything that decides the result of a run, besides the pictures. */
export interface SegmentRunConfig {
  readonly model: Omit<SegmentNetConfig, 'classes'>;
  readonly stages: readonly SizeStage[];
  readonly batchSize: number;
  /** Passes over the training pictures between two looks at the validation set, which make an epoch. */
  readonly passes: number;
  /** Size of the validation pictures. */
  readonly validSize: Size;
  readonly lr: number;
  readonly wd: number;
  readonly pctStart: number;
  readonly labelSmoothing: number;
  /** Power of {@link balancedWeights}; 0: all classes alike. */
  readonly balance: number;
  /** Decay of the averaged weights, which are the ones validated and kept. */
  readonly emaDecay: number;
  /** Random changes of the training pictures, besides the zoom of a stage. */
  readonly augmentation: readonly Transform[];
  /** How weights that it starts from are treated; like random ones by default. */
  readonly fineTune?: FineTuning;
  readonly seed: number;
}

/** The decoder alone first, then everything, with lower rates for the encoder: see `Learner.fineTune`. */
export interface FineTuning {
  /** Epochs, of those of the stages, with the encoder as it is. */
  readonly freezeEpochs: number;
  /** How many times lower the rate of the encoder's first layers is than the decoder's. */
  readonly lrMult: number;
}

/** Street scenes and the like: no upside down; light and colour vary as they do from drive to drive and camera to camera. */
const streets: readonly Transform[] = [
  { kind: 'flip', p: 0.5 },
  { kind: 'brightness', change: [0.25, 0.75], p: 0.75 },
  { kind: 'contrast', scale: [0.65, 1 / 0.65], p: 0.75 },
  { kind: 'tint', change: [0.45, 0.55], p: 0.5 },
  { kind: 'saturation', scale: [0.4, 1.5], p: 0.5 },
];

export const segmentRunDefaults: SegmentRunConfig = {
  model: segmentNetDefaults,
  stages: [
    { epochs: 12, size: { width: 160, height: 120 }, zoom: [1, 2.8] },
    { epochs: 6, size: { width: 240, height: 180 }, zoom: [0.9, 2] },
    { epochs: 2, size: { width: 320, height: 240 }, zoom: [0.9, 1.5] },
  ],
  batchSize: 8,
  passes: 5,
  validSize: { width: 320, height: 240 },
  lr: 2e-3,
  wd: 1e-2,
  pctStart: 0.15,
  labelSmoothing: 0.05,
  balance: 0.1,
  emaDecay: 0.995,
  augmentation: streets,
  seed: 1,
};

/** What a learner is made from. */
export interface SegmentLearnerOptions {
  readonly config: SegmentRunConfig;
  readonly data: SegmentData;
  readonly open: OpenGraph;
  /** Weights to start from; random ones by default. */
  readonly start?: Weights;
  /** Whether the last layer of `start` is taken too: where its classes are these ones. Default true. */
  readonly keepHead?: boolean;
  readonly workers?: number;
  readonly onNote?: (text: string) => void;
}

export interface SegmentRunOptions extends SegmentLearnerOptions {
  /** The run's folder: checkpoints, log, pictures. */
  readonly out: string;
  readonly resume: boolean;
  readonly callbacks?: readonly Callback[];
  /** Aborting it ends the run after the batch that is being worked on, with a checkpoint; `runSegment` then throws `stopped`. */
  readonly signal?: AbortSignal;
}

export interface SegmentRunResult {
  readonly rows: readonly EpochRow[];
  /** Row and weights of the epoch with the best validation mean IoU. */
  readonly best: EpochRow;
  readonly weights: Weights;
  readonly model: SegmentNetConfig;
  readonly health: SegmentHealth;
}

/** Memory for decoded photos, in bytes. */
const decodedCacheBytes = 2.5e8;

/** The description of the data of one stage. */
function blockOf(
  { classes, voidId, maskForm, valid }: SegmentData,
  { size, zoom }: Omit<SizeStage, 'epochs'>,
  { augmentation, batchSize }: SegmentRunConfig,
) {
  const held = new Set(valid.map(({ name }) => name));
  const train: readonly Transform[] = [
    ...augmentation,
    ...(zoom ? [{ kind: 'zoom' as const, scale: zoom, p: 1 }] : []),
  ];
  const transforms: TransformSet = { train, valid: [], padding: 'reflection' };
  return dataBlock({
    get: (items: readonly MaskedItem[]) => items,
    split: splitByFunction<MaskedItem>(({ name }) => held.has(name)),
    label: mask<MaskedItem>((item) => item.mask, {
      classes: classes.map(({ name }) => name),
      ignoreId: voidId,
      maskForm,
    }),
    size,
    resize: 'squish',
    transforms,
    batchSize,
  });
}

/** Throws unless every pair can be used; states what is there, and which classes never occur. */
async function needHealthy(
  data: SegmentData,
  onNote: SegmentLearnerOptions['onNote'],
): Promise<{ readonly health: SegmentHealth; readonly trainPixels: readonly number[] }> {
  const [train, valid] = [await checkPairs(data.train, data), await checkPairs(data.valid, data)];
  const health: SegmentHealth = {
    pixels: train.pixels.map((count, id) => count + valid.pixels[id]!),
    voidPixels: train.voidPixels + valid.voidPixels,
    problems: [...train.problems, ...valid.problems],
  };
  const { problems, pixels } = health;
  for (const { name, reason } of problems) onNote?.(`cannot use ${name}: ${reason}`);
  ensure(problems.length === 0, 'bad-data', () => {
    return `segment: expected usable pairs, got ${problems.length} that are not (${problems[0]!.name}: ${problems[0]!.reason}); repair them or take them off the list`;
  });
  const all = pixels.reduce((sum, count) => sum + count, health.voidPixels);
  const share = (count: number): string => `${((100 * count) / all).toFixed(2)} %`;
  onNote?.(
    `class shares: ${data.classes.map(({ name }, i) => `${name} ${share(pixels[i]!)}`).join(', ')}; void ${share(health.voidPixels)}`,
  );
  const absent = (counts: readonly number[]): string =>
    data.classes.flatMap(({ name }, id) => (counts[id] === 0 ? [name] : [])).join(', ');
  const [untaught, unmeasured] = [absent(train.pixels), absent(valid.pixels)];
  if (untaught) onNote?.(`never in the masks to train on, so not learnt: ${untaught}`);
  if (unmeasured) onNote?.(`never in the masks held out, so not measured: ${unmeasured}`);
  return { health, trainPixels: train.pixels };
}

/** Loaders of the training part, whose sizes grow, and of the validation part. */
async function openData({ config, data, workers = 1 }: SegmentLearnerOptions) {
  const items = [...data.train, ...data.valid];
  const openStage = async (stage: Omit<SizeStage, 'epochs'>) =>
    openLoaders(await blockOf(data, stage, config).plan(items), {
      seed: config.seed,
      workers,
      cacheBytes: decodedCacheBytes,
    });
  const validation = await openStage({ size: config.validSize });
  const train = stagedLoader({
    stages: config.stages,
    passes: config.passes,
    open: openStage,
    perPass: () => Math.floor(data.train.length / config.batchSize),
  });
  const { valid, vocab, statistics, spec } = validation;
  return {
    loaders: { train: train.loader, valid, vocab, statistics, spec },
    close: async () => {
      await train.close();
      await validation.close();
    },
  };
}

/** The net with its loss, metrics and starting weights. */
async function learnerOf(
  { config, data, open, start, keepHead = true }: SegmentLearnerOptions,
  model: SegmentNetConfig,
  loaders: LearnerData,
  classWeights: readonly number[],
): Promise<Learner> {
  const { voidId } = data;
  const names = data.classes.map(({ name }) => name);
  const learner = await createLearner({
    name: 'segment',
    model: (scope, x) => segmentNet(scope, x, model),
    loss: segmentLoss({ voidId, labelSmoothing: config.labelSmoothing, classWeights }),
    activation: (scores) => o.softmax(scores, 1),
    data: loaders,
    countTargets: ({ data: ids }) => (ids as Int32Array).reduce((count, id) => count + (id === voidId ? 0 : 1), 0),
    open,
    hyper: { beta2: 0.99 },
    wd: config.wd,
    metrics: segmentMetrics(names, voidId),
    callbacks: [gradientClip(1), ema({ decay: config.emaDecay })],
    seed: config.seed,
    ...(config.fineTune ? { splitter: splitByPrefix(...unetGroups(smallEncoder(model.encoder))) } : {}),
  });
  if (start !== undefined) learner.load(startWeights(learner.state.specs, start, { fresh: learner.weights, keepHead }));
  return learner;
}

/** Accuracy, mean IoU, the Dice coefficient where there is one thing to find, and the IoU of each class. */
const segmentMetrics = (names: readonly string[], voidId: number): readonly Metric[] => [
  accCamvid(voidId),
  iou({ ignore: voidId }),
  ...(names.length === 2 ? [dice({ ignore: voidId })] : []),
  ...iouPerClass(names, { ignore: voidId }),
];

/** Trains, and gives what {@link trainRun} does. */
function train(learner: Learner, options: SegmentRunOptions) {
  const { config, data, out, start, keepHead = true } = options;
  const { lr, pctStart, fineTune, stages } = config;
  const names = (items: readonly MaskedItem[]): readonly string[] => items.map(({ name }) => name);
  return trainRun('segment', learner, options, {
    facts: {
      config,
      classes: data.classes,
      startedFrom: hashOfWeights(start),
      ...(keepHead ? {} : { keepHead }),
      train: names(data.train),
      valid: names(data.valid),
    },
    callbacks: [pictureCallback(out, data, () => learner)],
    best: { metric: 'iou', higher: true },
    epochs: stages.reduce((sum, { epochs }) => sum + epochs, 0),
    lr,
    cycle: { pctStart },
    ...(fineTune ? { tune: { ...fineTune, baseLr: 2 * lr, pctStart } } : {}),
  });
}

/** openLearner: the learner of a run, with its data; `close` releases both. Throws `bad-data` when a pair of files cannot be used. */
export async function openLearner(options: SegmentLearnerOptions) {
  const { config, data, onNote } = options;
  const { health, trainPixels } = await needHealthy(data, onNote);
  const model: SegmentNetConfig = { ...config.model, classes: data.classes.length };
  const classWeights = balancedWeights(trainPixels, config.balance);
  onNote?.(
    `${data.train.length} pictures to train on, ${data.valid.length} to validate; class weights ${classWeights.map((w) => w.toFixed(2)).join(' ')}`,
  );
  const { loaders, close } = await openData(options);
  return withLearner({ model, health }, () => learnerOf(options, model, loaders, classWeights), close);
}

/** Trains a segmentation net: the wiring of data, net, loss and files. Resumes exactly. */
export async function runSegment(given: SegmentRunOptions): Promise<SegmentRunResult> {
  const { data, out, resume } = given;
  await needFresh('segment', out, resume);
  const start = await keptStart(out, given);
  const options = { ...given, ...(start ? { start } : {}) };
  const { learner, model, health, close } = await openLearner(options);
  try {
    const { rows, phase } = await train(learner, options);
    const found = await readBest(phase);
    learner.load(found.weights);
    await drawMistakes(out, data, learner);
    return { rows, model, health, ...found };
  } finally {
    await close();
  }
}
