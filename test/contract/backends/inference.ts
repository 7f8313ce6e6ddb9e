import { restoreUnet, restoreUnetDefaults } from '../../../models/unet.ts';
import { type ClassifyNetConfig, classifyNet, exportClassify } from '../../../tasks/classify/net.ts';
import { exportSegment, type SegmentNetConfig, segmentNet, segmentNetDefaults } from '../../../tasks/segment/net.ts';
import { createRng } from '../../../training/core/rng.ts';
import { symDim } from '../../../training/core/shape.ts';
import { f32, sizeOf, type Tensor } from '../../../training/core/tensor.ts';
import { createScope, initialWeights } from '../../../training/nn/scope.ts';
import { toOnnx } from '../../../training/onnx/export.ts';
import { Graph } from '../../../training/onnx/graph.ts';
import { imagenetStatistics } from '../../../training/pictures/transforms/normalise.ts';
import { buildInference } from '../../../training/step/train-step.ts';
import { tinyRestoreModel } from '../../helpers/tiny-model.ts';

const random = (seed: number, dims: readonly number[]): Tensor<'float32'> => {
  const rng = createRng(seed);
  return f32(dims, Array.from({ length: sizeOf(dims) }, rng.next));
};

/** An exported model, the form of it that WebGL takes, and what to run it on. */
export interface Subject {
  readonly model: Uint8Array;
  readonly webglModel: Uint8Array;
  readonly input: string;
  readonly output: string;
  readonly runs: readonly Tensor<'float32'>[];
}

/** Several sizes on one session, a size again after another, more sizes than WebGL keeps. */
function tinySubject(): Subject {
  const { model, webglModel, spec } = tinyRestoreModel();
  const runs = [16, 32, 16, 40, 48, 56, 64].map((width, i) => random(i, [1, 3, 24, width]));
  return { model, webglModel, input: spec.inputName, output: spec.outputName, runs };
}

/** The architecture that we ship, smaller: convolutions of one shape with and without ReLU, pads behind pixel shuffles. */
function unetSubject(): Subject {
  const config = { ...restoreUnetDefaults, widths: [8, 12], blocks: [2, 2], headWidth: 5 };
  const declared = new Graph('unet');
  const scope = createScope(declared, { training: false });
  restoreUnet(scope, declared.input('image', 'float32', [1, 3, 32, 32]), config);
  const weights = initialWeights(scope.specs, 1);
  // As initialised the net changes nothing, which would agree whatever is wrong inside.
  for (const [name, values] of weights)
    if (name.startsWith('head.'))
      weights.set(
        name,
        values.map((value) => 20 * value),
      );
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, symDim('H', 32), symDim('W', 32)] }] as const;
  const graph = buildInference('unet', inputs, weights, (s, { image }) => ({
    restored: restoreUnet(s, image!, config),
  }));
  const webglModel = toOnnx(graph, { opset: 12 });
  const runs = [random(7, [1, 3, 32, 40])];
  return { model: toOnnx(graph), webglModel, input: 'image', output: 'restored', runs };
}

/** First weights with something added: norms and residual blocks begin as if they were not there. */
function stirred(specs: Parameters<typeof initialWeights>[0]): Map<string, Float32Array> {
  const rng = createRng(3);
  const stir = (values: Float32Array): Float32Array => values.map((value) => value + 0.3 * (rng.next() - 0.5));
  return new Map([...initialWeights(specs, 1)].map(([name, values]) => [name, stir(values)]));
}

/** An encoder under fastai's head: pools over the whole map, norms and matrices. */
function classifySubject(): Subject {
  const config: ClassifyNetConfig = {
    encoder: { kind: 'small', widths: [4, 6, 8], depths: [1, 2, 1] },
    head: { hidden: [16] },
    classes: 3,
    normalisation: imagenetStatistics,
  };
  const declared = new Graph('classify');
  const scope = createScope(declared, { training: false });
  classifyNet(scope, declared.input('image', 'float32', [1, 3, 32, 40]), config);
  const facts = { width: 40, height: 32, resize: 'crop', classes: ['a', 'b', 'c'] } as const;
  const { model } = exportClassify(config, stirred(scope.specs), facts);
  const runs = [random(1, [1, 3, 32, 40]), random(2, [1, 3, 32, 40])];
  return { model, webglModel: model, input: 'image', output: 'probabilities', runs };
}

/** DynamicUnet at any size: maps of odd sizes, which a nearest resize to a computed size fits to each other. */
function segmentSubject(): Subject {
  const config: SegmentNetConfig = {
    ...segmentNetDefaults,
    encoder: { widths: [4, 6, 8], depths: [1, 2, 1] },
    classes: 3,
  };
  const declared = new Graph('segment');
  const scope = createScope(declared, { training: false });
  segmentNet(scope, declared.input('image', 'float32', [1, 3, 32, 32]), config);
  const weights = stirred(scope.specs);
  const classes = ['a', 'b', 'c'].map((name, i) => ({ name, color: [i, 0, 0] as const }));
  const { model } = exportSegment(config, weights, { classes, shortSide: 24 });
  const runs = [24, 40, 20].map((width, i) => random(i, [1, 3, 24, width]));
  return { model, webglModel: model, input: 'image', output: 'probabilities', runs };
}

export const subjects = {
  'tiny model': tinySubject,
  'U-Net': unetSubject,
  'segmentation net': segmentSubject,
  classifier: classifySubject,
} as const;
