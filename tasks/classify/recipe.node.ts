import { join } from 'node:path';
import { visionLearner } from '../../training/apps/vision.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import { dataBlock } from '../../training/data/block.node.ts';
import { byFunction } from '../../training/data/labellers.ts';
import { openLoaders } from '../../training/data/loaders.node.ts';
import { splitByFunction } from '../../training/data/splitters.ts';
import { ema } from '../../training/learner/callbacks/ema.ts';
import { gradientClip } from '../../training/learner/callbacks/gradients.ts';
import { cutmix, mixup } from '../../training/learner/callbacks/mixup.ts';
import type { Learner } from '../../training/learner/learner.ts';
import { accuracy } from '../../training/learner/metrics.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../training/loop/recorder.ts';
import { importWeights } from '../../training/nn/import.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import type { Weights } from '../../training/nn/scope.ts';
import * as o from '../../training/ops/build.ts';
import type { Size } from '../../training/pictures/sizes.ts';
import type { Transform } from '../../training/pictures/transforms/augment.ts';
import type { ResizeMethod } from '../../training/pictures/transforms/frame.ts';
import { plotTopLosses } from '../../training/report/cells.node.ts';
import { plotConfusion } from '../../training/report/confusion.ts';
import { confusionMatrix } from '../../training/report/interpret.ts';
import { svgToPng } from '../../training/report/png.node.ts';
import { hashOfWeights, needFresh, trainRun, withLearner } from '../../training/runs/run-parts.node.ts';
import { type SizeStage, stagedLoader } from '../../training/runs/stages.ts';
import { type ClassItem, type ClassifyData, type ClassifyHealth, needClasses } from './data.node.ts';
import { type ClassifyNetConfig, classifyNetDefaults, encoderOf } from './net.ts';
import { type ClassifyScore, scoreOf } from './score.node.ts';

/** Everything that decides the result of a run, besides the photos. */
export interface ClassifyRunConfig {
  readonly model: Omit<ClassifyNetConfig, 'classes'>;
  readonly stages: readonly SizeStage[];
  /** Of what is validated and served. */
  readonly validSize: Size;
  /** How photos come to that size when they are not trained on. */
  readonly resize: Exclude<ResizeMethod, 'pad'>;
  readonly batchSize: number;
  /** Least number of training samples between two looks at the validation set: few photos are gone through several times. */
  readonly samplesPerEpoch: number;
  /** Highest rate; of a run that starts from weights that of its head, then half of it. */
  readonly lr: number;
  readonly wd: number;
  readonly pctStart: number;
  readonly labelSmoothing: number;
  readonly mix: 'none' | 'mixup' | 'cutmix';
  /** Decay of the averaged weights, which are the ones validated and kept. */
  readonly emaDecay: number;
  /** Of a run that starts from weights: epochs of the head alone, before all is trained. */
  readonly freezeEpochs: number;
  /** Random changes of the training photos. */
  readonly augmentation: readonly Transform[];
  readonly seed: number;
}

/** What a thing is does not depend on where it stands, how it is lit, nor on the camera. */
const things: readonly Transform[] = [
  { kind: 'randomResizedCrop', area: [0.5, 1], ratio: [3 / 4, 4 / 3] },
  { kind: 'flip', p: 0.5 },
  { kind: 'rotate', degrees: [-15, 15], p: 0.5 },
  { kind: 'warp', magnitude: [-0.2, 0.2], p: 0.3 },
  { kind: 'brightness', change: [0.3, 0.7], p: 0.75 },
  { kind: 'contrast', scale: [0.7, 1 / 0.7], p: 0.75 },
  { kind: 'tint', change: [0.45, 0.55], p: 0.5 },
  { kind: 'saturation', scale: [0.4, 1.5], p: 0.5 },
];

const square = (side: number): Size => ({ width: side, height: side });

export const classifyRunDefaults: ClassifyRunConfig = {
  model: classifyNetDefaults,
  stages: [
    { epochs: 12, size: square(64) },
    { epochs: 8, size: square(96) },
  ],
  validSize: square(96),
  resize: 'crop',
  batchSize: 16,
  samplesPerEpoch: 480,
  lr: 6e-3,
  wd: 2e-2,
  pctStart: 0.25,
  labelSmoothing: 0.1,
  mix: 'none',
  emaDecay: 0.99,
  freezeEpochs: 2,
  augmentation: things,
  seed: 1,
};

/** Weights to start from. */
export interface ClassifyStart {
  /** Names of the encoder's parameters begin with `encoder.`, those of the head with `head.`. */
  readonly weights: Weights;
  /** Whether the head's are taken too: it has the same classes. */
  readonly head: boolean;
}

/** What a learner is made from. */
export interface ClassifyLearnerOptions {
  readonly config: ClassifyRunConfig;
  readonly data: ClassifyData;
  readonly open: OpenGraph;
  /** Random weights by default. With them the head is trained first, then all, earlier layers at lower rates. */
  readonly start?: ClassifyStart;
  readonly workers?: number;
  readonly onNote?: (text: string) => void;
}

export interface ClassifyRunOptions extends ClassifyLearnerOptions {
  /** The run's folder: checkpoints, log, pictures. */
  readonly out: string;
  readonly resume: boolean;
  readonly callbacks?: readonly Callback[];
  /** Aborting it ends the run after the batch that is being worked on, with a checkpoint; `runClassify` then throws `stopped`. */
  readonly signal?: AbortSignal;
}

export interface ClassifyRunResult extends ClassifyScore {
  readonly rows: readonly EpochRow[];
  /** The averaged weights at the end. */
  readonly weights: Weights;
  readonly model: ClassifyNetConfig;
  readonly health: ClassifyHealth;
}

/** Memory for decoded photos, in bytes. */
const decodedCacheBytes = 2.5e8;

/** The description of the data at one size. */
function blockOf({ valid, classes }: ClassifyData, size: Size, config: ClassifyRunConfig, batchSize: number) {
  const held = new Set(valid);
  return dataBlock({
    get: (items: readonly ClassItem[]) => items,
    split: splitByFunction<ClassItem>((item) => held.has(item)),
    label: { ...byFunction<ClassItem>(({ label }) => label), classes },
    size,
    resize: config.resize,
    transforms: { train: config.augmentation, valid: [], padding: 'reflection' },
    batchSize,
    validBatchSize: Math.min(32, valid.length),
  });
}

/** The loaders of all stages. */
async function openData({ config, data, workers = 1 }: ClassifyLearnerOptions) {
  const batchSize = Math.min(config.batchSize, data.train.length);
  const openSize = async ({ size }: Pick<SizeStage, 'size'>) =>
    openLoaders(await blockOf(data, size, config, batchSize).plan([...data.train, ...data.valid]), {
      seed: config.seed,
      workers,
      cacheBytes: decodedCacheBytes,
    });
  const perPass = Math.floor(data.train.length / batchSize);
  const train = stagedLoader({
    stages: config.stages,
    passes: Math.max(1, Math.round(config.samplesPerEpoch / (perPass * batchSize))),
    open: openSize,
    perPass: () => perPass,
  });
  return { train, validation: await openSize({ size: config.validSize }) };
}

type OpenData = Awaited<ReturnType<typeof openData>>;

const mixes = { none: () => [], mixup: () => [mixup()], cutmix: () => [cutmix()] } as const;

async function learnerOf(
  { config, open, start }: ClassifyLearnerOptions,
  { train, validation }: OpenData,
): Promise<Learner> {
  const { model, labelSmoothing, emaDecay, seed, wd, mix } = config;
  const learner = await visionLearner({
    name: 'classify',
    encoder: encoderOf(model.encoder),
    head: model.head,
    normalisation: model.normalisation,
    loss: (scores, ids) => crossEntropyLoss(scores, ids, { labelSmoothing }),
    activation: (scores) => o.softmax(scores, 1),
    data: {
      train: train.loader,
      valid: validation.valid,
      vocab: validation.vocab,
      statistics: validation.statistics,
      spec: validation.spec,
    },
    open,
    hyper: { beta2: 0.99 },
    wd,
    metrics: [accuracy()],
    callbacks: [gradientClip(1), ema({ decay: emaDecay }), ...mixes[mix]()],
    seed,
  });
  if (start !== undefined) takeStart(learner, start);
  return learner;
}

/** Takes the weights that the run starts from. */
function takeStart(learner: Learner, { weights, head }: ClassifyStart): void {
  const taken = learner.state.specs.filter(({ name }) => head || name.startsWith('encoder.'));
  learner.load(new Map([...learner.weights, ...importWeights(taken, weights)]));
}

/** All epochs. Throws `stopped` when the signal ended them. */
async function train(learner: Learner, options: ClassifyRunOptions): Promise<readonly EpochRow[]> {
  const { config, data, start } = options;
  const { lr, pctStart, freezeEpochs, stages } = config;
  const hashes = (items: readonly ClassItem[]): readonly string[] =>
    items.map(({ sha256, label }) => `${label} ${sha256}`);
  const epochs = stages.reduce((sum, stage) => sum + stage.epochs, start === undefined ? 0 : freezeEpochs);
  const { rows } = await trainRun('classify', learner, options, {
    facts: {
      config,
      classes: data.classes,
      startedFrom: start === undefined ? null : { ...start, weights: hashOfWeights(start.weights) },
      train: hashes(data.train),
      valid: hashes(data.valid),
    },
    epochs,
    lr,
    cycle: { pctStart },
    ...(start === undefined ? {} : { tune: { baseLr: lr, freezeEpochs, lrMult: 10, pctStart } }),
  });
  return rows;
}

/** The numbers of the held-out photos; the confusion matrix and the worst mistakes as pictures. */
async function measure(learner: Learner, { data, out, onNote }: ClassifyRunOptions): Promise<ClassifyScore> {
  const score = scoreOf(confusionMatrix(await learner.getPreds()));
  await writeDurably(join(out, 'confusion.png'), await svgToPng(plotConfusion(score.confusion, data.classes)));
  const losses = await plotTopLosses(learner, { count: 12, columns: 4 });
  await writeDurably(join(out, 'top-losses.png'), await svgToPng(losses));
  for (const { label, precision, recall, support } of score.report)
    onNote?.(
      `${data.classes[label]}: precision ${precision.toFixed(2)}, recall ${recall.toFixed(2)}, ${support} photos held out`,
    );
  return score;
}

/** openLearner: the learner of a run, with its data; `close` releases both. Throws `bad-data` when there is too little to learn from. */
export async function openLearner(options: ClassifyLearnerOptions) {
  const health = needClasses(options.data, options.onNote);
  const loaders = await openData(options);
  return withLearner(
    { health },
    () => learnerOf(options, loaders),
    async () => {
      await loaders.train.close();
      await loaders.validation.close();
    },
  );
}

/**
 * Trains a classifier of photos: the wiring of data, net, loss and files. The weights are the averaged ones at the end: to choose among the epochs
 * by a few held-out photos would flatter the numbers. Resumes exactly.
 */
export async function runClassify(options: ClassifyRunOptions): Promise<ClassifyRunResult> {
  const { config, data, out, resume } = options;
  await needFresh('classify', out, resume);
  const { learner, health, close } = await openLearner(options);
  try {
    const rows = await train(learner, options);
    const weights = new Map([...learner.weights].map(([name, values]) => [name, values.slice()]));
    const model: ClassifyNetConfig = { ...config.model, classes: data.classes.length };
    return { rows, weights, model, health, ...(await measure(learner, options)) };
  } finally {
    await close();
  }
}
