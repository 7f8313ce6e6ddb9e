import { type RestoreUnetConfig, restoreUnet, unetHalo, unetMultiple } from '../../models/unet.ts';
import type { Image } from '../../training/core/image.ts';
import { type Dim, symDim } from '../../training/core/shape.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { createPairLoader, type PairLoader, type Recipe } from '../../training/data/loader.node.ts';
import type { ValidationPair } from '../../training/data/validation.node.ts';
import {
  type CompiledEvaluation,
  type CompiledStep,
  compileEvaluation,
  compileStep,
  type OpenGraph,
} from '../../training/loop/compile.ts';
import type { EpochSource } from '../../training/loop/fit-loop.ts';
import { l1Loss, mseLoss } from '../../training/nn/losses.ts';
import type { Weights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { readMetadata } from '../../training/onnx/metadata.ts';
import * as o from '../../training/ops/build.ts';
import type { ImageItem, PairItem } from '../../training/pictures/items.node.ts';
import { psnr } from '../../training/pictures/quality.ts';
import { sampleWindow, writeWindow } from '../../training/pictures/transforms/pixels.ts';
import type { TrainState } from '../../training/step/state.ts';
import { buildInference, type Task } from '../../training/step/train-step.ts';
import type { ImageModelSpec } from '../pictures.ts';

const losses = { mse: mseLoss, l1: l1Loss } as const;
export type RestoreLoss = keyof typeof losses;

/** x (damaged) and y (whole) f32[N,3,H,W] 0..1 -> loss, and the prediction as `restored`. */
export function restoreTask(
  config: RestoreUnetConfig,
  loss: RestoreLoss,
  [n, h, w]: readonly [number, Dim, Dim],
): Task {
  return {
    name: 'restore',
    inputs: ['x', 'y'].map((name) => ({ name, dtype: 'float32', shape: [n, 3, h, w] })),
    forward: (scope, { x, y }) => {
      const restored = restoreUnet(scope, x!, config);
      return { loss: losses[loss](restored, y!), outputs: { restored } };
    },
  };
}

/** One step of progressive resizing: crops of one size for some epochs. */
export interface Stage {
  readonly epochs: number;
  readonly size: number;
  readonly batchSize: number;
}

export interface RestoreDataOptions {
  readonly items: readonly (ImageItem | PairItem)[];
  readonly stages: readonly Stage[];
  readonly samplesPerEpoch: number;
  readonly recipes: readonly Recipe[];
  readonly shortSide: { readonly min: number; readonly max: number };
  readonly seed: number;
  readonly workers: number;
  /** Memory for decoded photos, in bytes. */
  readonly cacheBytes: number;
  readonly onFailure: (failure: { readonly name: string; readonly reason: string }) => void;
}

interface OpenStage {
  readonly index: number;
  readonly loader: PairLoader;
  readonly step: CompiledStep;
}

/** The sources of every epoch: graphs and loaders of a stage are made when its first epoch begins, and let go at its end. */
export interface RestoreSources {
  sourceOf(epoch: number): Promise<EpochSource>;
  /** Batches of all epochs. */
  readonly totalBatches: number;
  close(): Promise<void>;
}

const batchesOf = (stage: Stage, samples: number): number => Math.ceil(samples / stage.batchSize);

export function restoreSources(
  config: RestoreUnetConfig,
  loss: RestoreLoss,
  data: RestoreDataOptions,
  open: OpenGraph,
): RestoreSources {
  const { stages, samplesPerEpoch, shortSide } = data;
  let current: OpenStage | undefined;
  const close = async (): Promise<void> => {
    await current?.loader.close();
    await current?.step.release();
    current = undefined;
  };
  const openStage = async (index: number): Promise<OpenStage> => {
    const { size, batchSize } = stages[index]!;
    const step = await compileStep(restoreTask(config, loss, [batchSize, size, size]), open);
    const bounds = { shortSideMin: Math.max(shortSide.min, size), shortSideMax: Math.max(shortSide.max, size) };
    const loader = await createPairLoader({ ...data, ...bounds, size, batchSize, samplesPerEpoch });
    return { index, loader, step };
  };
  return {
    totalBatches: stages.reduce((sum, stage) => sum + stage.epochs * batchesOf(stage, samplesPerEpoch), 0),
    close,
    async sourceOf(epoch) {
      const index = stages.findIndex(
        (_, i) => epoch < stages.slice(0, i + 1).reduce((sum, stage) => sum + stage.epochs, 0),
      );
      if (current?.index !== index) {
        await close();
        current = await openStage(index);
      }
      const { loader, step } = current!;
      return {
        step,
        batchesPerEpoch: loader.batchesPerEpoch,
        batches: (at, fromBatch) => feedsOf(loader, at, fromBatch),
      };
    },
  };
}

async function* feedsOf(
  loader: PairLoader,
  epoch: number,
  fromBatch: number,
): AsyncIterable<{ readonly x: Tensor; readonly y: Tensor }> {
  for await (const { x, y } of loader.epoch(epoch, { fromBatch })) yield { x, y };
}

/** A restored validation picture beside what it was made from. */
export interface RestoredPair {
  /** The damaged picture enlarged bilinearly to the target's size. */
  readonly input: Image;
  readonly restored: Image;
  readonly target: Image;
}

const blank = ({ width, height }: Image): Image => ({
  width,
  height,
  channels: 3,
  data: new Uint8Array(width * height * 3),
});

/** The evaluation graph for pictures of any size. */
export const openRestoreEvaluation = (
  config: RestoreUnetConfig,
  loss: RestoreLoss,
  open: OpenGraph,
): Promise<CompiledEvaluation> => {
  const multiple = unetMultiple(config);
  return compileEvaluation(restoreTask(config, loss, [1, symDim('H', multiple), symDim('W', multiple)]), open);
};

/** Restores one damaged picture at `scale` and says the loss against the target (which may be the picture itself). */
async function restorePair(
  evaluation: CompiledEvaluation,
  state: TrainState,
  pair: ValidationPair,
  scale: 1 | 2,
  multiple: number,
): Promise<RestoredPair & { readonly loss: number }> {
  const { target, damaged } = pair;
  const up = (size: number): number => Math.ceil(size / multiple) * multiple;
  const padded = { x: 0, y: 0, width: up(target.width), height: up(target.height) };
  const dims = [1, 3, padded.height, padded.width];
  const x: Tensor = { dtype: 'float32', dims, data: sampleWindow(damaged, scale, padded) };
  const y: Tensor = { dtype: 'float32', dims, data: sampleWindow(target, 1, padded) };
  const { loss, restored } = await evaluation.evaluate(state, { x, y });
  const crop = { x: 0, y: 0, width: target.width, height: target.height };
  const [input, output] = [blank(target), blank(target)];
  writeWindow(x.data as Float32Array, padded, crop, input);
  writeWindow(restored!.data as Float32Array, padded, crop, output);
  return { loss: Number(loss!.data[0]), input, restored: output, target };
}

export interface RestoreScore {
  readonly metrics: Readonly<Record<string, number>>;
  /** The first few pairs, for looking at. */
  readonly pairs: readonly RestoredPair[];
}

/** PSNR in dB; 100 stands for no error at all, which would spoil every mean. */
const decibel = (a: Image, b: Image): number => Math.min(psnr(a, b), 100);

/** Mean loss and PSNR (dB, RGB 8 bit) over the held-out pairs, the input's PSNR, and the PSNR of undamaged photos left alone. */
export async function scoreRestore(
  evaluation: CompiledEvaluation,
  state: TrainState,
  pairs: readonly ValidationPair[],
  multiple: number,
  keep = 4,
): Promise<RestoreScore> {
  const sums = { valid_loss: 0, psnr: 0, input_psnr: 0, undamaged_psnr: 0 };
  const kept: RestoredPair[] = [];
  for (const pair of pairs) {
    const result = await restorePair(evaluation, state, pair, pair.damaged.width < pair.target.width ? 2 : 1, multiple);
    const alone = await restorePair(evaluation, state, { ...pair, damaged: pair.target }, 1, multiple);
    sums.valid_loss += result.loss;
    sums.psnr += decibel(result.restored, pair.target);
    sums.input_psnr += decibel(result.input, pair.target);
    sums.undamaged_psnr += decibel(alone.restored, pair.target);
    if (kept.length < keep) kept.push(result);
  }
  return {
    metrics: Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / pairs.length])),
    pairs: kept,
  };
}

/** The opset of exported restore models: everything in them exists there, so one file serves every backend, WebGL too. */
const restoreOpset = 12;

/** The served graph: `image` f32[N,3,H,W] 0..1, N = `batch`, -> `restored` of the same size, clipped to 0..1; H, W multiples of the spec's. */
export function exportRestore(
  config: RestoreUnetConfig,
  weights: Weights,
  { batch = 1, opset = restoreOpset }: { readonly batch?: number; readonly opset?: number } = {},
): { readonly model: Uint8Array; readonly spec: ImageModelSpec } {
  const multiple = unetMultiple(config);
  const inputs: Task['inputs'] = [
    { name: 'image', dtype: 'float32', shape: [batch, 3, symDim('H', multiple), symDim('W', multiple)] },
  ];
  const graph = buildInference('restore', inputs, weights, (scope, { image }) => ({
    restored: o.clip(restoreUnet(scope, image!, config), 0, 1),
  }));
  const spec: ImageModelSpec = {
    inputName: 'image',
    outputName: 'restored',
    multipleOf: multiple,
    halo: unetHalo(config),
    normalisation: config.normalisation,
  };
  return {
    model: toOnnx(graph, { opset, metadata: { task: 'restore', config: JSON.stringify(config) } }),
    spec,
  };
}

/** The architecture that an exported restore model was made with; throws `bad-model` when it is not one of ours. */
export const restoreConfigOf = (model: Uint8Array): RestoreUnetConfig =>
  readMetadata('restoreConfigOf', model, { task: 'restore', key: 'config', what: 'configuration' });
