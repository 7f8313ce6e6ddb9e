import type { ImageModelSpec } from '../../tasks/pictures.ts';
import { symDim } from '../../training/core/shape.ts';
import { conv2d, pixelShuffleIcnr } from '../../training/nn/layers.ts';
import { createScope, initialWeights, type Scope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { buildInference } from '../../training/step/train-step.ts';

/** A small picture-to-picture net with every operator family of the real one: the picture plus a visible change. */
function tinyNet(scope: Scope, image: Value): Value {
  const down = o.relu(scope.in('down', (s) => conv2d(s, image, { filters: 8, kernel: 4, stride: 2, padding: 1 })));
  const deep = o.relu(scope.in('deep', (s) => conv2d(s, down, { filters: 8 })));
  const up = scope.in('up', (s) => pixelShuffleIcnr(s, deep, { filters: 5, blur: true, weightNorm: false }));
  const change = scope.in('head', (s) => conv2d(s, o.concat([up, image], 1), { filters: 3 }));
  return o.clip(o.add(image, o.mul(o.tanh(change), 0.2)), 0, 1);
}

export interface TinyModel {
  readonly model: Uint8Array;
  /** The same graph at the opset that onnxruntime-web's WebGL backend takes. */
  readonly webglModel: Uint8Array;
  readonly spec: ImageModelSpec;
}

/** A model that takes milliseconds, for tests of everything around models. Another `seed` gives other pictures. */
export function tinyRestoreModel(seed = 1): TinyModel {
  const declared = new Graph('tiny');
  const scope = createScope(declared, { training: false });
  tinyNet(scope, declared.input('image', 'float32', [1, 3, 8, 8]));
  const weights = initialWeights(scope.specs, seed);
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, symDim('H', 8), symDim('W', 8)] }] as const;
  const graph = buildInference('tiny', inputs, weights, (s, { image }) => ({ restored: tinyNet(s, image!) }));
  const spec: ImageModelSpec = {
    inputName: 'image',
    outputName: 'restored',
    multipleOf: 8,
    halo: 16,
    normalisation: { mean: [0, 0, 0], std: [1, 1, 1] },
  };
  return { model: toOnnx(graph), webglModel: toOnnx(graph, { opset: 12 }), spec };
}
