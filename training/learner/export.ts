import { ensure, messageOf } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { type Dim, symDim } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';
import { createScope } from '../nn/scope.ts';
import { type ExportOptions, toOnnx } from '../onnx/export.ts';
import { Graph } from '../onnx/graph.ts';
import { loadWeights } from '../weights/load.ts';
import type { WeightReport, WeightRules } from '../weights/match.ts';
import { readWeights, type WeightFile } from '../weights/read.ts';
import { encodeSafetensors } from '../weights/safetensors.ts';
import type { Learner } from './learner.ts';

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
  ensure(file instanceof Uint8Array || file?.tensors instanceof Map, 'bad-argument', () => {
    const path = typeof file === 'string' ? `'${file}'` : 'path';
    return `loadWeightsFile: expected the bytes of a file, got ${typeof file === 'string' ? `the path ${path}` : 'something else'}; read it first: await readWeightsFile(${path}) of fettle/node`;
  });
  const report = loadWeights(learner.state, file instanceof Uint8Array ? readWeights(file) : file, rules);
  learner.resetOptimizer();
  return report;
}

export interface LearnerExportOptions extends ExportOptions {
  /** Shape of the input without the batch's axis; the training data's when left out. May have symbolic dimensions. */
  readonly shape?: readonly Dim[];
  /**
   * Size of a batch, or a symbol (`symDim('N')`). When left out any size (`N`), or 1 for a model that reckons with the size of its
   * batch, of which `onNote` is told.
   */
  readonly batch?: Dim;
  /** Words for the user; on the console when left out. */
  readonly onNote?: (text: string) => void;
}

const optionNames = namesOf<LearnerExportOptions>({
  shape: true,
  batch: true,
  onNote: true,
  opset: true,
  domains: true,
  metadata: true,
});

/** The graph of a learner's model and activation, its weights inside, for batches of `batch` items of `shape`. */
function servingGraph({ sample, options, weights }: Learner, batch: Dim, shape: readonly Dim[]): Graph {
  const graph = new Graph(options.name);
  const scope = createScope(graph, { training: false, weights });
  const x = graph.input('x', sample.dtype, [batch, ...shape]);
  graph.output('prediction', options.activation(options.model(scope, x)));
  return graph;
}

/** The model for inference as ONNX bytes: `x` [N,...] -> `prediction`, after the activation, weights inside. */
export function exportModel(learner: Learner, options: LearnerExportOptions = {}): Uint8Array {
  knownKeys('exportModel', options, optionNames);
  const { shape = (learner.sample as Tensor).dims.slice(1), batch, onNote = console.warn, ...rest } = options;
  if (batch !== undefined) return toOnnx(servingGraph(learner, batch, shape), rest);
  try {
    return toOnnx(servingGraph(learner, symDim('N'), shape), rest);
  } catch (error) {
    // Whatever the model's own code throws at a size that is no number; what is wrong with it besides, this throws.
    const graph = servingGraph(learner, 1, shape);
    const reason = messageOf(error);
    onNote(`exportModel: the model takes one item at a time, since it does not allow batches of any size (${reason})`);
    return toOnnx(graph, rest);
  }
}
