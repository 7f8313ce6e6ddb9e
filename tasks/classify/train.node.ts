import { initializersOf } from '../../training/onnx/weights.ts';
import { growing } from '../../training/runs/stages.ts';
import type { PlanFrom, Scores, Training, TrainOptions } from '../training.node.ts';
import { classifyCard, percent, photosOf } from './card.ts';
import type { ClassifyModelSpec } from './contract.ts';
import { readClassifyFolder } from './data.node.ts';
import { classifyModelFacts, exportClassify } from './net.ts';
import {
  type ClassifyRunConfig,
  type ClassifyRunOptions,
  type ClassifyRunResult,
  classifyRunDefaults,
  openLearner,
  runClassify,
} from './recipe.node.ts';
import { type ClassifyScore, scoreClassify } from './score.node.ts';

/** Fewer held-out photos than this do not show which model is better. */
const fewPhotos = 20;

type Run = Pick<ClassifyRunOptions, 'config' | 'data' | 'start'>;

/** The settings that the options ask for. `--size` is the side that is served; the stages keep their proportions to it. */
function configOf(options: TrainOptions): ClassifyRunConfig {
  const { samples = classifyRunDefaults.samplesPerEpoch } = options;
  return { ...growing(classifyRunDefaults, options, classifyRunDefaults.validSize.height), samplesPerEpoch: samples };
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name, id) => name === b[id]);

/** Of a model to start from its net and its size are kept, and its head too where the classes are the same. */
async function plan(options: TrainOptions, { origin }: PlanFrom): Promise<Run> {
  const data = await readClassifyFolder(options.data, options.seed);
  if (origin === undefined) return { config: configOf(options), data };
  const { config, facts } = classifyModelFacts(origin.bytes);
  const { classes: _, ...model } = config;
  return {
    config: { ...configOf({ ...options, size: options.size ?? facts.height }), model, resize: facts.resize },
    data,
    start: { weights: initializersOf(origin.bytes), head: sameNames(data.classes, facts.classes) },
  };
}

const brief = ({ accuracy, majority }: ClassifyScore) => ({ accuracy, majority });

const heldOut = (score: ClassifyScore, was = ''): string =>
  `accuracy ${percent(score.accuracy)} on ${photosOf(score)} held out${was} (always the most frequent class: ${percent(score.majority)})`;

/** It does not serve if it is useless, or the version that serves names the same classes better. */
function compare(_: ClassifyRunResult, { data }: Run, scores: Scores<ClassifyScore>) {
  const { before, serving } = scores;
  const after = scores.after!;
  const useless = after.accuracy <= after.majority;
  const few = photosOf(after) < fewPhotos;
  return {
    description: `on ${data.train.length} photos: ${data.classes.join(', ')}`,
    metrics: {
      heldOutAccuracy: after.accuracy,
      heldOutMajority: after.majority,
      ...(before ? { startAccuracy: before.accuracy } : {}),
    },
    notes: [
      ...(few ? [`only ${photosOf(after)} held out: the numbers mean little; more photos would make them sure`] : []),
      ...(useless ? ['more photos, or photos that show the classes better, are needed'] : []),
    ],
    worse: useless || (serving !== undefined && after.accuracy < serving.accuracy),
    ...(useless ? { reason: 'no better than always saying the most frequent class' } : {}),
    data: { classes: data.classes, before: before && brief(before), after: { ...brief(after), report: after.report } },
    text: heldOut(after, before && `, ${percent(before.accuracy)} before`),
  };
}

export const classifyTraining: Training<TrainOptions, Run, ClassifyRunResult, ClassifyModelSpec, ClassifyScore> = {
  plan,
  run: runClassify,
  openLearner,
  describe: ({ epoch, trainLoss, metrics, seconds }) =>
    `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, valid loss ${metrics.valid_loss!.toFixed(4)}, accuracy ${percent(metrics.accuracy!)}, ${seconds.toFixed(0)} s`,
  export: ({ model, weights }, { config: { validSize, resize }, data: { classes } }) =>
    exportClassify(model, weights, { ...validSize, resize, classes }),
  score: async ({ model, spec }, { data, open }) =>
    sameNames(data.classes, spec.classes) ? scoreClassify({ model, spec }, data.valid, open) : undefined,
  summarise: (result, { data: { classes } }) => {
    const { accuracy, majority, rows, report } = result;
    return { data: { classes, accuracy, majority, report, rows }, text: heldOut(result) };
  },
  compare,
  card: (facts, result, { config, data }, { after, before }) =>
    classifyCard(facts, config, data.classes, result, { after: after!, before }),
};
