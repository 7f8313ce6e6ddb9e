import { type RestoreUnetConfig, restoreUnet, unetHalo, unetMultiple } from '../../models/unet.ts';
import { type Dim, symDim } from '../../training/core/shape.ts';
import { splitByPrefix } from '../../training/learner/groups.ts';
import { l1Loss, mseLoss } from '../../training/nn/losses.ts';
import { createScope, type ParamSpec, type Scope, type Weights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import { readMetadata } from '../../training/onnx/metadata.ts';
import * as o from '../../training/ops/build.ts';
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

/** Model and loss for a learner: damaged x and whole y f32[N,3,H,W] 0..1. */
export const restoreParts = (config: RestoreUnetConfig, loss: RestoreLoss) => ({
  name: 'restore',
  model: (scope: Scope, x: Value): Value => restoreUnet(scope, x, config),
  loss: losses[loss],
  // Pictures to measure with are whole.
  freeSize: unetMultiple(config),
  splitter: splitByPrefix(['encoder'], ['middle', 'attention']),
});

/** Parameters of the model, in order. */
export function restoreSpecs(model: RestoreUnetConfig): readonly ParamSpec[] {
  const graph = new Graph('specs');
  const scope = createScope(graph, { training: false });
  const multiple = unetMultiple(model);
  restoreUnet(scope, graph.input('image', 'float32', [1, 3, multiple, multiple]), model);
  return scope.specs;
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
