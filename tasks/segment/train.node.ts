import type { Weights } from '../../training/nn/scope.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { shortSideOf } from '../../training/pictures/sizes.ts';
import { growing } from '../../training/runs/stages.ts';
import { readWeightsFile } from '../../training/weights/read.node.ts';
import { specOf } from '../config.ts';
import type { Origin, PlanFrom, Scores, Training, TrainOptions } from '../training.node.ts';
import { percent, segmentCard } from './card.ts';
import { type SegmentClass, type SegmentModelSpec, segmentContract } from './contract.ts';
import { readSegmentFolder, type SegmentData } from './folder.node.ts';
import { exportSegment } from './net.ts';
import {
  openLearner,
  runSegment,
  type SegmentRunConfig,
  type SegmentRunOptions,
  type SegmentRunResult,
  segmentRunDefaults,
} from './recipe.node.ts';
import { anyColors, anyWayUp, fitToPhotos, segmentRetrainDefaults } from './retrain.node.ts';
import { type SegmentScore, scoreSegment } from './score.node.ts';
import { segmentClassesOf, segmentConfigOf } from './start.ts';

/** Fewer held-out pairs than this do not show which model is better. */
const fewPairs = 5;

interface Options extends TrainOptions {
  readonly classWeights?: number;
  readonly from?: string;
  readonly anyWayUp?: boolean;
  readonly anyColors?: boolean;
}

type Run = Pick<SegmentRunOptions, 'config' | 'data' | 'start' | 'keepHead'>;

/** The settings that the options ask for, over `defaults`. `--size` is the short side of the last stage; the others keep their proportions to it. */
function configOf(defaults: SegmentRunConfig, options: Options): SegmentRunConfig {
  const { classWeights = defaults.balance } = options;
  return { ...growing(defaults, options, shortSideOf(defaults.stages.at(-1)!.size)), balance: classWeights };
}

/** Weights of a file that a run or an export has written. */
async function weightsOf(path: string): Promise<Weights> {
  const { tensors } = await readWeightsFile(path);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

/** Whether two models give the same ids the same names. */
const sameClasses = (a: readonly SegmentClass[], b: readonly SegmentClass[] | undefined): boolean =>
  a.length === b?.length && a.every(({ name }, id) => name === b[id]!.name);

/** Whether an exported model has these classes: by what is written in it, or what its config.json states. */
export function hasClasses({ bytes, config }: Origin, classes: readonly SegmentClass[]): boolean {
  const written = segmentClassesOf(bytes);
  if (written === undefined) return sameClasses(classes, config && specOf(segmentContract, config).classes);
  return classes.length === written.length && classes.every(({ name }, id) => name === written[id]);
}

/** The settings of a retraining: its defaults for these photos, and the net of the model that it starts from. */
async function retrainConfig(
  data: SegmentData,
  origin: Origin | undefined,
  options: Options,
): Promise<SegmentRunConfig> {
  const turned = options.anyWayUp ? anyWayUp(segmentRetrainDefaults.augmentation) : segmentRetrainDefaults.augmentation;
  const augmentation = options.anyColors ? anyColors(turned) : turned;
  const { fineTune, ...rest } = await fitToPhotos({ ...segmentRetrainDefaults, augmentation }, data);
  if (origin === undefined) return configOf(rest, options);
  const { classes: _, ...model } = segmentConfigOf(origin.bytes);
  // A single epoch leaves none for the decoder alone.
  return configOf({ ...rest, model, ...(fineTune && options.epochs !== 1 ? { fineTune } : {}) }, options);
}

async function plan(options: Options, { verb, origin }: PlanFrom): Promise<Run> {
  const data = await readSegmentFolder(options.data, options.seed);
  if (verb !== 'retrain') {
    const start = options.from === undefined ? {} : { start: await weightsOf(options.from) };
    return { config: configOf(segmentRunDefaults, options), data, ...start };
  }
  const config = await retrainConfig(data, origin, options);
  if (origin === undefined) return { config, data };
  return { config, data, start: initializersOf(origin.bytes), keepHead: hasClasses(origin, data.classes) };
}

/** It does not serve if the version that serves has the same classes and a higher mean IoU. */
function compare(_: SegmentRunResult, { data }: Run, scores: Scores<SegmentScore>) {
  const { before, serving } = scores;
  const after = scores.after!;
  const { classes, train } = data;
  const few = `only ${after.pictures} held out: the comparison means little; more pairs would make it sure`;
  const brief = ({ accuracy, meanIou, iou }: SegmentScore) => ({
    accuracy,
    meanIou,
    iou: Object.fromEntries(classes.map((one, id) => [one.name, iou[id]])),
  });
  return {
    description: `on ${train.length} photos: ${classes.map((one) => one.name).join(', ')}`,
    metrics: {
      heldOutAccuracy: after.accuracy,
      heldOutMeanIou: after.meanIou,
      ...(before && { startAccuracy: before.accuracy, startMeanIou: before.meanIou }),
    },
    notes: after.pictures < fewPairs ? [few] : [],
    worse: serving !== undefined && after.meanIou < serving.meanIou,
    data: { before: before && brief(before), after: brief(after) },
    details: classes.map((one, id) => `  IoU ${one.name}: ${percent(after.iou[id])}`),
    text: `accuracy ${percent(after.accuracy)}, mean IoU ${percent(after.meanIou)} on ${after.pictures} held out${before ? `, ${percent(before.meanIou)} before` : ''}`,
  };
}

const accuracyAndIou = (metrics: Readonly<Record<string, number>>): string =>
  `accuracy ${(100 * metrics.acc_camvid!).toFixed(2)} %, mean IoU ${metrics.iou!.toFixed(4)}`;

export const segmentTraining: Training<Options, Run, SegmentRunResult, SegmentModelSpec, SegmentScore> = {
  plan,
  run: runSegment,
  openLearner,
  // The IoU of each class is in the log.
  describe: ({ epoch, trainLoss, metrics, seconds }) =>
    `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, ${accuracyAndIou(metrics)}, ${seconds.toFixed(0)} s`,
  export: ({ model, weights }, { config, data: { classes } }) =>
    exportSegment(model, weights, { classes, shortSide: shortSideOf(config.validSize) }),
  score: async ({ model, spec: { classes, shortSide } }, { data, open }) =>
    sameClasses(data.classes, classes) ? scoreSegment({ model, shortSide }, data.valid, data, open) : undefined,
  summarise: ({ best, rows }) => ({
    data: { best, rows },
    text: `best: epoch ${best.epoch}, ${accuracyAndIou(best.metrics)}`,
  }),
  compare,
  card: (facts, result, { config, data }, { after, before }) =>
    segmentCard(facts, config, data, result, { after: after!, before }),
};
