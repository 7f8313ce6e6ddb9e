import { ensure, FettleError } from '../core/errors.ts';
import { knownKeys } from '../core/known-keys.ts';
import { toModelProto } from '../onnx/export.ts';
import { Graph, type Value } from '../onnx/graph.ts';
import {
  type AttributeProto,
  attributeTypes,
  encodeModel,
  type NodeProto,
  type ValueInfoProto,
} from '../onnx/schema.ts';
import * as o from '../ops/build.ts';
import type { OptimizerDef } from '../optim/define.ts';
import { adamw, sgd } from '../optim/optimizers.ts';

/** The domain of ONNX Runtime's own operators. */
export const ortDomain = 'com.microsoft';

export interface OrtOptimizerOptions {
  /** `adamw` (by default) or `sgd`: the runtime's training has no others. */
  readonly optimizer?: OptimizerDef;
  /** Of the optimiser, besides its defaults; without `lr`. One value for all parameters. */
  readonly hyper?: Readonly<Record<string, number>>;
  /**
   * The learning rate, or one for each update, of which the last stays. Omitted, it is what the runtime feeds: 0.001 unless its
   * own scheduler states otherwise.
   */
  readonly lr?: number | readonly number[];
  /** Clips the gradients by their norm over all parameters. */
  readonly maxNorm?: number;
  /** Version of ONNX's operators, 18..21; 18 by default. */
  readonly opset?: number;
}

/** What the runtime's operator for an optimiser is called and takes. */
interface OrtOptimizer {
  readonly op: string;
  readonly attributes: readonly AttributeProto[];
  /** Inputs of the graph after `learning_rate`, `step`, `params`, `gradients`. */
  readonly moments: readonly string[];
  readonly nodeInputs: (lr: string, gradients: string) => readonly string[];
  /** Of its one output, the flag. */
  readonly flagDims: readonly number[];
}

const float = (name: string, f: number): AttributeProto => ({ name, type: attributeTypes.float, f });
const int = (name: string, i: number): AttributeProto => ({ name, type: attributeTypes.int, i });

/** All attributes are written: the defaults of the operator's schema differ from those of ONNX Runtime's own exporter. */
function adamwNode({ beta1, beta2, eps, wd }: Readonly<Record<string, number>>): OrtOptimizer {
  const moments = ['first_order_moments', 'second_order_moments'];
  return {
    op: 'AdamWOptimizer',
    attributes: [
      float('alpha', beta1!),
      float('beta', beta2!),
      float('epsilon', eps!),
      float('weight_decay', wd!),
      int('correct_bias', 1),
      // 0 is PyTorch's AdamW, which is ours; 1 that of Hugging Face.
      int('adam_mode', 0),
    ],
    moments,
    nodeInputs: (lr, gradients) => [lr, 'step', 'params', gradients, ...moments],
    flagDims: [1],
  };
}

function sgdNode({ momentum, wd }: Readonly<Record<string, number>>): OrtOptimizer {
  ensure(momentum === 0 && wd === 0, 'unsupported', () => {
    return `ortArtifacts: expected sgd without momentum and weight decay, got momentum ${momentum} and wd ${wd}; SGDOptimizerV2 has neither`;
  });
  return {
    op: 'SGDOptimizerV2',
    attributes: [],
    // Not used by the operator, but the runtime insists on it.
    moments: ['first_order_moments'],
    nodeInputs: (lr, gradients) => [lr, 'params', gradients],
    flagDims: [],
  };
}

/** Throws `bad-argument` unless `value` is a number that `fits`. */
function needNumber(name: string, value: unknown, fits: (number: number) => boolean): void {
  ensure(typeof value === 'number' && fits(value), 'bad-argument', () => {
    return `ortArtifacts: expected ${name} as a finite number in its range, got ${value}`;
  });
}

function nodeOf(def: OptimizerDef, hyper: Readonly<Record<string, number>>): OrtOptimizer {
  const known = Object.keys(def.hyper).filter((name) => name !== 'lr');
  knownKeys(`ortArtifacts: hyper of ${def.name}`, hyper, known);
  for (const [name, value] of Object.entries<unknown>(hyper)) {
    ensure(!Array.isArray(value), 'unsupported', () => {
      return `ortArtifacts: expected one ${name} for all parameters, got [${value}]; the runtime has no parameter groups, pass a number`;
    });
    // The decays of moments are shares below 1.
    const below = name.startsWith('beta') || name === 'momentum' ? 1 : Infinity;
    needNumber(name, value, (number) => number >= 0 && number < below);
  }
  const all = { ...def.hyper, ...hyper };
  if (def.name === adamw.name) return adamwNode(all);
  if (def.name === sgd.name) return sgdNode(all);
  throw new FettleError(
    'unsupported',
    `ortArtifacts: expected the optimizer ${adamw.name} or ${sgd.name}, got ${def.name}; the runtime's training has no others`,
  );
}

/** The rate f32[1] of the update `step` (i64[1], 1 at the first). */
function rateOf(graph: Graph, fed: Value, step: Value, lr: number | readonly number[] | undefined): Value {
  if (lr === undefined) return fed;
  const rates = Float32Array.from(typeof lr === 'number' ? [lr] : lr);
  ensure(rates.length > 0 && rates.every((rate) => rate >= 0 && rate < Infinity), 'bad-argument', () => {
    return `ortArtifacts: expected learning rates of 0 or more, got [${rates}]`;
  });
  const table = graph.constant('float32', [rates.length], rates, 'rates');
  return o.gather(table, o.minimum(o.sub(step, graph.ints([1])), graph.ints([rates.length - 1])));
}

const sequence = (name: string): ValueInfoProto => ({
  name,
  type: { sequenceType: { elemType: { tensorType: { elemType: 1 } } } },
});

/**
 * `optimizer_model.onnx`: inputs `learning_rate` f32[1], `step` i64[1], `params`, `gradients` and moments as sequences of tensors, which the
 * one optimiser node changes in place; output `updated`, a bool. The runtime checks names and order.
 */
export function ortOptimizerModel(options: OrtOptimizerOptions): Uint8Array {
  const { optimizer = adamw, hyper = {}, lr, maxNorm, opset = 18 } = options;
  const { op, attributes, moments, nodeInputs, flagDims } = nodeOf(optimizer, hyper);
  if (maxNorm !== undefined) needNumber('maxNorm', maxNorm, (norm) => norm > 0 && norm < Infinity);
  const graph = new Graph(`${optimizer.name}_optimizer`);
  const fed = graph.input('learning_rate', 'float32', [1]);
  graph.output('rate', rateOf(graph, fed, graph.input('step', 'int64', [1]), lr));
  const proto = toModelProto(graph, { opset, domains: { [ortDomain]: 1 } });
  const sequences = ['params', 'gradients', ...moments].map(sequence);
  const node = (opType: string, input: readonly string[], output: string, attribute: readonly AttributeProto[]) =>
    ({
      opType,
      name: opType,
      domain: ortDomain,
      input: [...input],
      output: [output],
      attribute: [...attribute],
    }) satisfies NodeProto;
  const clip =
    maxNorm === undefined ? [] : [node('InplaceClipGradNorm', ['gradients'], 'clipped', [float('max_norm', maxNorm)])];
  const update = node(op, nodeInputs('rate', maxNorm === undefined ? 'gradients' : 'clipped'), 'updated', attributes);
  const flag: ValueInfoProto = {
    name: 'updated',
    type: { tensorType: { elemType: 9, shape: { dim: flagDims.map((dimValue) => ({ dimValue })) } } },
  };
  return encodeModel({
    ...proto,
    graph: {
      ...proto.graph,
      node: [...proto.graph.node, ...clip, update],
      input: [...proto.graph.input, ...sequences],
      output: [flag],
    },
  });
}
