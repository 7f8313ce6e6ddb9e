import { join } from 'node:path';
import { ensure, FettleError } from '../core/errors.ts';
import { dataBlock } from '../data/blocks/block.node.ts';
import { mask } from '../data/blocks/labellers.ts';
import { openLoaders } from '../data/blocks/loaders.node.ts';
import { splitByFunction } from '../data/blocks/splitters.ts';
import type { MaskedItem, SegmentData } from '../data/segment/folder.node.ts';
import { checkPairs, type SegmentHealth } from '../data/segment/health.node.ts';
import type { Size } from '../data/sizes.ts';
import type { Transform, TransformSet } from '../data/transforms/augment.ts';
import { ema } from '../learner/callbacks/ema.ts';
import { gradientClip } from '../learner/callbacks/gradients.ts';
import { csvLog } from '../learner/callbacks/logs.node.ts';
import { hasCheckpoint, writeDurably } from '../learner/checkpoint.node.ts';
import { createLearner, type Learner } from '../learner/create-learner.ts';
import type { Callback } from '../learner/learner.ts';
import { accCamvid, iou } from '../learner/metrics.ts';
import type { RunStore } from '../learner/options.ts';
import { showResults } from '../learner/plot/cells.node.ts';
import { svgToPng } from '../learner/plot/png.node.ts';
import type { EpochRow } from '../learner/recorder.ts';
import { runFolder } from '../learner/run-folder.node.ts';
import type { OpenGraph } from '../learner/trainer.ts';
import { importWeights } from '../nn/import.ts';
import type { Weights } from '../nn/scope.ts';
import * as o from '../ops/build.ts';
import { hashOfWeights, readBest, stopCallback } from './run-parts.node.ts';
import { balancedWeights, type SegmentNetConfig, segmentLoss, segmentNet, segmentNetDefaults } from './segment.ts';
import { type SizeStage, stagedLoader } from './stages.ts';

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
  readonly seed: number;
}

/** Street scenes and the like: no upside down; light and colour vary as they do from drive to drive and camera to camera. */
const streets: readonly Transform[] = [
  { kind: 'flip', p: 0.5 },
  { kind: 'brightness', change: [0.3, 0.7], p: 0.75 },
  { kind: 'contrast', scale: [0.7, 1 / 0.7], p: 0.75 },
  { kind: 'tint', change: [0.47, 0.53], p: 0.3 },
  { kind: 'saturation', scale: [0.6, 1.3], p: 0.3 },
];

export const segmentRunDefaults: SegmentRunConfig = {
  model: segmentNetDefaults,
  stages: [
    { epochs: 6, size: { width: 160, height: 120 }, zoom: [1, 2.8] },
    { epochs: 4, size: { width: 240, height: 180 }, zoom: [0.9, 2] },
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

export interface SegmentRunOptions {
  readonly config: SegmentRunConfig;
  readonly data: SegmentData;
  /** The run's folder: checkpoints, log, pictures. */
  readonly out: string;
  readonly resume: boolean;
  readonly open: OpenGraph;
  /** Weights to start from; random ones when left out. */
  readonly start?: Weights;
  readonly workers?: number;
  readonly callbacks?: readonly Callback[];
  /** Aborting it ends the run after the batch that is being worked on, with a checkpoint; `runSegment` then throws `stopped`. */
  readonly signal?: AbortSignal;
  readonly onNote?: (text: string) => void;
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
  { classes, voidId, valid }: SegmentData,
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
    label: mask<MaskedItem>((item) => item.mask, { classes: classes.map(({ name }) => name), ignoreId: voidId }),
    size,
    resize: 'squish',
    transforms,
    batchSize,
  });
}

/** Throws unless every pair can be used and every class occurs; says what is there. */
async function needHealthy(data: SegmentData, onNote: SegmentRunOptions['onNote']): Promise<SegmentHealth> {
  const health = await checkPairs([...data.train, ...data.valid], data);
  const { problems, pixels } = health;
  for (const { name, reason } of problems) onNote?.(`cannot use ${name}: ${reason}`);
  ensure(problems.length === 0, 'bad-data', () => {
    return `train segment: expected usable pairs, got ${problems.length} that are not (${problems[0]!.name}: ${problems[0]!.reason}); repair them or take them off the list`;
  });
  const all = pixels.reduce((sum, count) => sum + count, health.voidPixels);
  const share = (count: number): string => `${((100 * count) / all).toFixed(2)} %`;
  onNote?.(
    `class shares: ${data.classes.map(({ name }, i) => `${name} ${share(pixels[i]!)}`).join(', ')}; void ${share(health.voidPixels)}`,
  );
  return health;
}

/** A picture of the first validation pictures under their masks and the predicted ones, after each epoch. */
const pictureCallback = (out: string, learner: () => Learner): Callback => ({
  name: 'picture',
  // While the averaged weights are in place (see `ema`).
  order: 60,
  numbers: ['params', 'buffers'],
  afterValidate: async ({ row }) => {
    const svg = await showResults(learner(), { count: 4, columns: 2 });
    await writeDurably(join(out, `epoch-${String(row!.epoch).padStart(3, '0')}.png`), await svgToPng(svg));
  },
});

/** The run's folder, where a checkpoint also says which config and pictures it belongs to. */
function storeOf({ out, config, data, start, onNote }: SegmentRunOptions): RunStore {
  const store = runFolder(out, { best: { metric: 'iou', higher: true }, ...(onNote ? { onNote } : {}) });
  const names = (items: readonly MaskedItem[]): readonly string[] => items.map(({ name }) => name);
  const described = {
    config,
    classes: data.classes,
    startedFrom: start === undefined ? null : hashOfWeights(start),
    train: names(data.train),
    valid: names(data.valid),
  };
  const whole = (run: string): string => JSON.stringify({ ...described, fit: JSON.parse(run) });
  return {
    ...store,
    begin: (state, run) => store.begin(state, whole(run)),
    callback: (run) => store.callback(whole(run)),
  };
}

/** Trains a segmentation net: the wiring of data, net, loss and files. Resumes exactly. */
export async function runSegment(options: SegmentRunOptions): Promise<SegmentRunResult> {
  const { config, data, out, resume, onNote, signal } = options;
  ensure(resume || !(await hasCheckpoint(out)), 'exists', () => {
    return `train segment: expected a new folder, got ${out} with a checkpoint; add --resume to go on, or choose another --out`;
  });
  const health = await needHealthy(data, onNote);
  const items = [...data.train, ...data.valid];
  const openStage = async (stage: Omit<SizeStage, 'epochs'>) =>
    openLoaders(await blockOf(data, stage, config).plan(items), {
      seed: config.seed,
      workers: options.workers ?? 1,
      cacheBytes: decodedCacheBytes,
    });
  const validation = await openStage({ size: config.validSize });
  const train = stagedLoader({
    stages: config.stages,
    passes: config.passes,
    open: openStage,
    perPass: Math.floor(data.train.length / config.batchSize),
  });
  const model: SegmentNetConfig = { ...config.model, classes: data.classes.length };
  const classWeights = balancedWeights(health.pixels, config.balance);
  onNote?.(
    `${data.train.length} pictures to train on, ${data.valid.length} to validate; class weights ${classWeights.map((w) => w.toFixed(2)).join(' ')}`,
  );
  let learner: Learner | undefined;
  try {
    learner = await createLearner({
      name: 'segment',
      model: (scope, x) => segmentNet(scope, x, model),
      loss: segmentLoss({ voidId: data.voidId, labelSmoothing: config.labelSmoothing, classWeights }),
      activation: (scores) => o.softmax(scores, 1),
      data: {
        train: train.loader,
        valid: validation.valid,
        vocab: validation.vocab,
        statistics: validation.statistics,
        spec: validation.spec,
      },
      countTargets: ({ data: ids }) =>
        (ids as Int32Array).reduce((count, id) => count + (id === data.voidId ? 0 : 1), 0),
      open: options.open,
      hyper: { beta2: 0.99 },
      wd: config.wd,
      metrics: [accCamvid(data.voidId), iou({ ignore: data.voidId })],
      callbacks: [gradientClip(1), ema({ decay: config.emaDecay })],
      seed: config.seed,
    });
    const own = learner;
    if (options.start !== undefined) own.load(importWeights(own.state.specs, options.start));
    const epochs = config.stages.reduce((sum, stage) => sum + stage.epochs, 0);
    const rows = await learner.fitOneCycle(epochs, config.lr, {
      pctStart: config.pctStart,
      callbacks: [
        stopCallback(signal),
        pictureCallback(out, () => own),
        csvLog(join(out, 'log.csv')),
        ...(options.callbacks ?? []),
      ],
      store: storeOf(options),
    });
    if (rows.length < epochs)
      throw new FettleError(
        'stopped',
        `train segment: expected ${epochs} epochs, got stopped in epoch ${rows.length}; --resume goes on`,
      );
    return { rows, model, health, ...(await readBest(out, rows)) };
  } finally {
    await learner?.close();
    await train.close();
    await validation.close();
  }
}
