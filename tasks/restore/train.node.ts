import { unetMultiple } from '../../models/unet.ts';
import { describeRow } from '../../training/loop/recorder.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { spread } from '../../training/runs/stages.ts';
import type { ImageModelSpec } from '../pictures.ts';
import type { Origin, PlanFrom, Reopened, Scores, Training, TrainOptions } from '../training.node.ts';
import { restoreCard } from './card.ts';
import { readHeldOut } from './held-out.node.ts';
import { exportRestore, type RestoreLoss, restoreConfigOf, restoreTask } from './net.ts';
import {
  openLearner,
  type RestoreRunConfig,
  type RestoreRunOptions,
  type RestoreRunResult,
  restoreRunDefaults,
  runRestore,
} from './recipe.node.ts';
import { scoreRestore } from './score.ts';

/** Fewer held-out pictures than this do not show which model is better. */
const fewPictures = 10;

/** How much held-out PSNR, in dB, a new version may lose against the one it came from and still serve. */
const toleranceDb = 0.02;

interface Options extends TrainOptions {
  readonly damaged?: string;
  readonly loss?: RestoreLoss;
}

type Run = Pick<RestoreRunOptions, 'config' | 'data' | 'damaged' | 'start'>;

/** Short and gentle: the model does its work already. */
const retrainDefaults: RestoreRunConfig = {
  ...restoreRunDefaults,
  stages: [{ epochs: 5, size: 128, batchSize: 8 }],
  samplesPerEpoch: 800,
  lr: 3e-4,
  pctStart: 0.3,
};

/** The settings that the options ask for, over `defaults`: `--size` replaces all stages by one. */
function configOf(defaults: RestoreRunConfig, options: Options): RestoreRunConfig {
  const { size, batch, samples, lr, loss, seed } = options;
  const total = defaults.stages.reduce((sum, stage) => sum + stage.epochs, 0);
  const { epochs = total } = options;
  const scaled = spread(defaults.stages, epochs);
  const stages = size === undefined ? scaled : [{ epochs, size, batchSize: scaled[0]!.batchSize }];
  return {
    ...defaults,
    stages: stages.map((stage) => ({ ...stage, batchSize: batch ?? stage.batchSize })),
    samplesPerEpoch: samples ?? defaults.samplesPerEpoch,
    lr: lr ?? defaults.lr,
    loss: loss ?? defaults.loss,
    seed,
  };
}

async function plan(options: Options, { origin }: PlanFrom): Promise<Run> {
  const { data, damaged } = options;
  const pictures = { data, ...(damaged === undefined ? {} : { damaged }) };
  if (origin === undefined) return { config: configOf(restoreRunDefaults, options), ...pictures };
  const model = restoreConfigOf(origin.bytes);
  return {
    config: configOf({ ...retrainDefaults, model }, options),
    ...pictures,
    start: initializersOf(origin.bytes),
  };
}

/** It does not serve if it is worse than the model that it started from, or than the version that serves. */
function compare(
  { best, before, heldOut, trained, failures }: RestoreRunResult,
  _: Run,
  { after, serving }: Scores<number>,
  origin: Origin | undefined,
) {
  const { psnr, input_psnr: input, undamaged_psnr: undamaged } = best.metrics;
  const few = `only ${heldOut.length} held out: the comparison means little; more pictures would make it sure`;
  const was = before === undefined ? '' : `, ${origin!.reference} had ${before.psnr!.toFixed(2)} dB`;
  return {
    description: `on ${trained} pictures`,
    metrics: {
      heldOutPsnrDb: psnr!,
      heldOutInputPsnrDb: input!,
      undamagedPsnrDb: undamaged!,
      ...(before ? { startPsnrDb: before.psnr! } : {}),
    },
    notes: heldOut.length < fewPictures ? [few] : [],
    worse:
      (before !== undefined && psnr! < before.psnr! - toleranceDb) ||
      (serving !== undefined && after! < serving - toleranceDb),
    data: { before, after: best.metrics, failures },
    text: `${psnr!.toFixed(2)} dB on ${heldOut.length} held out${was}`,
  };
}

function reopen(model: Uint8Array): Reopened {
  const config = restoreConfigOf(model);
  return {
    batch: 8,
    sizes: { usual: [96, 96], multiple: unetMultiple(config) },
    weights: initializersOf(model),
    task: (batch, [height, width]) => restoreTask(config, 'mse', [batch, height!, width!]),
    write: (weights, settings) => exportRestore(config, weights, settings).model,
  };
}

export const restoreTraining: Training<Options, Run, RestoreRunResult, ImageModelSpec, number> = {
  plan,
  run: runRestore,
  openLearner,
  describe: describeRow,
  export: ({ weights }, { config }) => exportRestore(config.model, weights),
  summarise: ({ best, rows, failures }) => ({
    data: { best, rows, failures },
    text: `best: epoch ${best.epoch}, ${best.metrics.psnr?.toFixed(2)} dB`,
  }),
  score: async (model, { config: { seed }, open }, { heldOut }) =>
    scoreRestore(model, await readHeldOut(heldOut, seed, () => {}), open),
  compare,
  card: (facts, result, { config }) => restoreCard(facts, config, result),
  reopen,
};
