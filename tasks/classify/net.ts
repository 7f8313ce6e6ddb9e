import { type BackboneName, backbones } from '../../models/backbones.ts';
import { type ClassifierHeadOptions, classifier } from '../../models/classifier.ts';
import { type DenseNetConfig, denseEncoder } from '../../models/dense-encoder.ts';
import type { Encoder } from '../../models/encoder.ts';
import { type SmallEncoderConfig, smallEncoder } from '../../models/small-encoder.ts';
import { ensure } from '../../training/core/errors.ts';
import { imagenetStatistics, type Statistics } from '../../training/core/image.ts';
import { symDim } from '../../training/core/shape.ts';
import { normaliseChannels } from '../../training/nn/common.ts';
import type { Scope, Weights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import type { Value } from '../../training/onnx/graph.ts';
import { readMetadata } from '../../training/onnx/metadata.ts';
import * as o from '../../training/ops/build.ts';
import { buildInference, type Task } from '../../training/step/train-step.ts';
import type { ClassifyModelSpec } from './contract.ts';

/** An encoder as plain data, to be kept in a file. */
export type EncoderConfig =
  | ({ readonly kind: 'small' } & SmallEncoderConfig)
  | ({ readonly kind: 'dense' } & Omit<DenseNetConfig, 'classes'>)
  | { readonly kind: 'backbone'; readonly name: BackboneName };

/** encoderOf: the encoder that the data describe. */
export function encoderOf(config: EncoderConfig): Encoder {
  if (config.kind === 'small') return smallEncoder(config);
  if (config.kind === 'dense') return denseEncoder(config);
  return backbones[config.name].encoder;
}

/** A classifier that takes pictures as they are. */
export interface ClassifyNetConfig {
  readonly encoder: EncoderConfig;
  readonly head: Omit<ClassifierHeadOptions, 'classes'>;
  readonly classes: number;
  readonly normalisation: Statistics;
}

/** 0.7 million parameters, 2.9 MB, for some hundred photos and some hundred steps: four sizes, blocks that start whole, and no hidden layer. */
export const classifyNetDefaults: Omit<ClassifyNetConfig, 'classes'> = {
  encoder: { kind: 'small', widths: [16, 32, 64, 128], depths: [1, 1, 2, 2], zeroLast: false },
  head: { hidden: [], dropout: 0.25 },
  normalisation: imagenetStatistics,
};

/** classifyNet: image f32[N,3,H,W] sRGB 0..1 -> scores f32[N,classes]. */
export const classifyNet = (
  scope: Scope,
  image: Value,
  { encoder, head, classes, normalisation }: ClassifyNetConfig,
): Value => classifier(scope, normaliseChannels(image, normalisation), encoderOf(encoder), { ...head, classes });

/** How the exported net is fed, and what its classes are called. */
export type ClassifyExportFacts = Pick<ClassifyModelSpec, 'width' | 'height' | 'resize' | 'classes'>;

/** Opset of exported classifiers: that of exported segmentation nets. */
const classifyOpset = 14;

/**
 * exportClassify: the served graph: `image` f32[N,3,H,W] 0..1 -> `probabilities` f32[N,classes]. H and W are those of the facts; N is free, or
 * `batch` where that is given: WebGL takes graphs of fixed shape only.
 */
export function exportClassify(
  config: ClassifyNetConfig,
  weights: Weights,
  facts: ClassifyExportFacts,
  { batch }: { readonly batch?: number } = {},
): { readonly model: Uint8Array; readonly spec: ClassifyModelSpec } {
  const { width, height, resize, classes } = facts;
  ensure(classes.length === config.classes, 'bad-argument', () => {
    return `exportClassify: expected names for ${config.classes} classes, got ${classes.length}`;
  });
  const shape = [batch ?? symDim('N'), 3, height, width];
  const inputs: Task['inputs'] = [{ name: 'image', dtype: 'float32', shape }];
  const graph = buildInference('classify', inputs, weights, (scope, { image }) => ({
    probabilities: o.softmax(classifyNet(scope, image!, config), 1),
  }));
  const metadata = { task: 'classify', config: JSON.stringify(config), facts: JSON.stringify(facts) };
  return {
    model: toOnnx(graph, { opset: classifyOpset, metadata }),
    spec: {
      inputName: 'image',
      outputName: 'probabilities',
      width,
      height,
      resize,
      classes,
      normalisation: config.normalisation,
    },
  };
}

const task = 'classify';

/** The facts of an exported classifier; throws `bad-model` when it is not one of ours. */
export const classifyModelFacts = (
  model: Uint8Array,
): { readonly config: ClassifyNetConfig; readonly facts: ClassifyExportFacts } => ({
  config: readMetadata('classifyModelFacts', model, { task, key: 'config', what: 'configuration' }),
  facts: readMetadata('classifyModelFacts', model, { task, key: 'facts', what: 'measurements' }),
});
