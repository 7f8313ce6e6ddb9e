import type { Dim } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';
import { createScope } from '../nn/scope.ts';
import { type ExportOptions, toOnnx } from '../onnx/export.ts';
import { Graph } from '../onnx/graph.ts';
import type { Learner } from './create-learner.ts';
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts';

/** The weights of a learner, parameters and running statistics, as the bytes of a .safetensors file. */
export const weightsFile = (learner: Learner, metadata: Readonly<Record<string, string>> = {}): Uint8Array =>
  encodeSafetensors({ tensors: learner.state.tensors, metadata });

/** Puts the weights of a .safetensors file into a learner; throws `bad-checkpoint` when they belong to another model. */
export function loadWeightsFile(learner: Learner, bytes: Uint8Array): void {
  const { tensors } = decodeSafetensors(bytes, 'weights');
  learner.load(new Map([...tensors].map(([name, { data }]) => [name, data])));
}

export interface LearnerExportOptions extends ExportOptions {
  /** Shape of the input without the batch's axis; the training data's when left out. May have symbolic dimensions. */
  readonly shape?: readonly Dim[];
  /** Size of a batch; 1 when left out. */
  readonly batch?: Dim;
}

/** The model for inference as ONNX bytes: `x` -> `prediction`, after the activation, weights inside. */
export function exportModel(learner: Learner, { shape, batch = 1, ...options }: LearnerExportOptions = {}): Uint8Array {
  const { sample, options: made } = learner;
  const graph = new Graph(made.name ?? 'model');
  const scope = createScope(graph, { training: false, weights: learner.weights });
  const dims: readonly Dim[] = [batch, ...(shape ?? (sample as Tensor).dims.slice(1))];
  graph.output('prediction', learner.activation(made.model(scope, graph.input('x', sample.dtype, dims))));
  return toOnnx(graph, options);
}
