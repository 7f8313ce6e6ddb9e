import { ensure, messageOf } from '../core/errors.ts';
import type { Statistics } from '../core/image.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { type Dim, symDim } from '../core/shape.ts';
import { normaliseChannels } from '../nn/common.ts';
import { createScope } from '../nn/scope.ts';
import { type ExportOptions, toOnnx } from '../onnx/export.ts';
import { Graph } from '../onnx/graph.ts';
import { loadWeights } from '../weights/load.ts';
import type { WeightReport, WeightRules } from '../weights/match.ts';
import { readWeights, type WeightFile } from '../weights/read.ts';
import { encodeSafetensors } from '../weights/safetensors.ts';
import { applyModel } from './compiled.ts';
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
  /** Shape of the input without the batch's axis; the training data's by default. May have symbolic dimensions. */
  readonly shape?: readonly Dim[];
  /**
   * Size of a batch, or a symbol (`symDim('N')`). By default any size (`N`), or 1 for a model that reckons with the size of its
   * batch, which `onNote` reports.
   */
  readonly batch?: Dim;
  /**
   * Whether the model normalises its input itself, by the `statistics` of the data, which its metadata `fettle.normalisation` has as
   * JSON { mean, std }; true by default. Then it takes values as they were before the data block normalised them.
   */
  readonly normalise?: boolean;
  /** Words for the user; on the console by default. */
  readonly onNote?: (text: string) => void;
}

const optionNames = namesOf<LearnerExportOptions>({
  shape: true,
  batch: true,
  normalise: true,
  onNote: true,
  opset: true,
  domains: true,
  metadata: true,
});

/** The graph of a learner's model and activation, its weights inside, for batches of `batch` items of `shape`. */
function servingGraph(
  { sample, options, weights }: Learner,
  batch: Dim,
  shape: readonly Dim[],
  statistics: Statistics | undefined,
): Graph {
  const graph = new Graph(options.name);
  const scope = createScope(graph, { training: false, weights });
  const x = graph.input('x', sample.dtype, [batch, ...shape]);
  const input = statistics === undefined ? x : normaliseChannels(x, statistics);
  graph.output('prediction', options.activation(applyModel(options.model, scope, input)));
  return graph;
}

/** Where an exported model has the mean and std by which it normalises its input. */
const normalisationKey = 'fettle.normalisation';

/**
 * The model for inference as ONNX bytes: `x` [N,...] -> `prediction`, after the activation, weights inside. Where the data block
 * normalises, the model does so itself: see {@link LearnerExportOptions}.
 */
export function exportModel(learner: Learner, options: LearnerExportOptions = {}): Uint8Array {
  knownKeys('exportModel', options, optionNames);
  const {
    shape = learner.sample.dims.slice(1),
    batch,
    normalise = true,
    onNote = console.warn,
    metadata = {},
    ...rest
  } = options;
  const statistics = normalise ? learner.options.data.statistics : undefined;
  const facts = statistics === undefined ? {} : { [normalisationKey]: JSON.stringify(statistics) };
  const encode = (size: Dim): Uint8Array =>
    toOnnx(servingGraph(learner, size, shape, statistics), { ...rest, metadata: { ...facts, ...metadata } });
  if (batch !== undefined) return encode(batch);
  try {
    return encode(symDim('N'));
  } catch (error) {
    // Whatever the model's own code throws at a size that is no number; what is wrong with it besides, this throws.
    const model = encode(1);
    const reason = messageOf(error);
    onNote(`exportModel: the model takes one item at a time, since it does not allow batches of any size (${reason})`);
    return model;
  }
}
