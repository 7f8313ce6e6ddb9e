import type { Dim } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';
import { createScope } from '../nn/scope.ts';
import { type ExportOptions, toOnnx } from '../onnx/export.ts';
import { Graph } from '../onnx/graph.ts';
import type { Learner } from './create-learner.ts';
import { encodeSafetensors } from './safetensors.ts';
import { loadWeights } from './weights/load.ts';
import type { WeightReport, WeightRules } from './weights/match.ts';
import { readWeights, type WeightFile } from './weights/read.ts';

/** The weights of a learner, parameters and running statistics, as the bytes of a .safetensors file. */
export const weightsFile = (learner: Learner, metadata: Readonly<Record<string, string>> = {}): Uint8Array =>
  encodeSafetensors({ tensors: learner.state.tensors, metadata });

/**
 * Puts weights into a learner by name: the bytes of a .safetensors, .pth or .onnx file, or what was read from one; the optimiser
 * starts anew. Returns what became of every name. Throws `bad-checkpoint` when they belong to another model; see {@link WeightRules}.
 */
export function loadWeightsFile(
  learner: Learner,
  file: Uint8Array | WeightFile,
  rules: WeightRules = {},
): WeightReport {
  const report = loadWeights(learner.state, file instanceof Uint8Array ? readWeights(file) : file, rules);
  learner.resetOptimizer();
  return report;
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
