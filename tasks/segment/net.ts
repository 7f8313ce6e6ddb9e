import { type DynamicUnetConfig, dynamicUnet } from '../../models/dynamic-unet.ts';
import { type SmallEncoderConfig, smallEncoder, smallEncoderDefaults } from '../../models/small-encoder.ts';
import { imagenetStatistics, type Statistics } from '../../training/core/image.ts';
import { anyDim } from '../../training/core/shape.ts';
import type { Loss } from '../../training/learner/compiled.ts';
import { normaliseChannels } from '../../training/nn/common.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import type { Scope, Weights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { Size } from '../../training/pictures/sizes.ts';
import { buildInference, type Task } from '../../training/step/train-step.ts';
import type { SegmentClass, SegmentModelSpec } from './contract.ts';

/** A segmentation net that takes pictures as they are. */
export interface SegmentNetConfig {
  readonly encoder: SmallEncoderConfig;
  readonly unet: Omit<DynamicUnetConfig, 'classes'>;
  readonly classes: number;
  readonly normalisation: Statistics;
}

/** 2.5 million parameters, 10 MB. Weight norm costs nothing per pixel, so the decoder has that and not batch norm. */
export const segmentNetDefaults: Omit<SegmentNetConfig, 'classes'> = {
  encoder: { ...smallEncoderDefaults, widths: [8, 16, 40, 96, 128] },
  unet: { lastCross: false, norm: 'weight' },
  normalisation: imagenetStatistics,
};

/** segmentNet: image f32[N,3,H,W] sRGB 0..1 -> scores f32[N,classes,H,W]. */
export function segmentNet(
  scope: Scope,
  image: Value,
  { encoder, unet, classes, normalisation }: SegmentNetConfig,
): Value {
  return dynamicUnet(scope, normaliseChannels(image, normalisation), smallEncoder(encoder), { ...unet, classes });
}

export interface SegmentLossConfig {
  /** Id that does not count. */
  readonly voidId: number;
  readonly labelSmoothing: number;
  /** One weight per class; equal ones by default. */
  readonly classWeights?: readonly number[];
}

/** Cross-entropy over all pixels but the void ones. */
export const segmentLoss =
  ({ voidId, labelSmoothing, classWeights }: SegmentLossConfig): Loss =>
  (scores, ids) =>
    crossEntropyLoss(scores, ids, { ignoreIndex: voidId, labelSmoothing, ...(classWeights ? { classWeights } : {}) });

/** balancedWeights: (median count / count)^power per class, 1 for a class that never occurs: power 0 all alike, 1 median frequency balancing. */
export function balancedWeights(counts: readonly number[], power: number): readonly number[] {
  const present = counts.filter((count) => count > 0).sort((a, b) => a - b);
  const median = present[present.length >> 1] ?? 1;
  return counts.map((count) => (count > 0 ? (median / count) ** power : 1));
}

/** How the exported net is fed, and what its classes are called. */
export interface SegmentExportFacts {
  readonly classes: readonly SegmentClass[];
  readonly shortSide: number;
}

/** Opset of exported segmentation nets: the first whose Softmax and Reshape are as we emit them. */
const segmentOpset = 14;

/**
 * exportSegment: the served graph: `image` f32[1,3,H,W] 0..1 -> `probabilities` f32[1,classes,H,W]. H and W are free, or fixed where a
 * `size` is given: multiples of the encoder's largest reduction then need no `Resize`, which WebGL lacks.
 */
export function exportSegment(
  config: SegmentNetConfig,
  weights: Weights,
  { classes, shortSide }: SegmentExportFacts,
  size?: Size,
): { readonly model: Uint8Array; readonly spec: SegmentModelSpec } {
  const [height, width] = size === undefined ? [anyDim('H'), anyDim('W')] : [size.height, size.width];
  const inputs: Task['inputs'] = [{ name: 'image', dtype: 'float32', shape: [1, 3, height, width] }];
  const graph = buildInference('segment', inputs, weights, (scope, { image }) => ({
    probabilities: o.softmax(segmentNet(scope, image!, config), 1),
  }));
  const metadata = {
    task: 'segment',
    config: JSON.stringify(config),
    classes: JSON.stringify(classes.map(({ name }) => name)),
  };
  return {
    model: toOnnx(graph, { opset: segmentOpset, metadata }),
    spec: {
      inputName: 'image',
      outputName: 'probabilities',
      shortSide,
      classes,
      normalisation: config.normalisation,
    },
  };
}
