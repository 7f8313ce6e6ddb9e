import { Graph, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

/** What an update formula works with: flat f32 tensors of one span, and hyper-parameters as f32 scalars. */
export interface UpdateContext<H extends string> {
  readonly param: Value;
  readonly grad: Value;
  /** One tensor per name in `moments`, same shape as `param`. */
  readonly moments: readonly Value[];
  /** Hyper-parameters, and `step`: 1 at the first update. */
  readonly hyper: Readonly<Record<H | 'step', Value>>;
}

export interface OptimizerDef<H extends string = string> {
  readonly name: string;
  /** Names of the running tensors kept beside each parameter, e.g. ['m', 'v']. */
  readonly moments: readonly string[];
  /** Default of each hyper-parameter; all of them are graph inputs, so that schedules need no rebuild. */
  readonly hyper: Readonly<Record<H, number>>;
  readonly update: (context: UpdateContext<H>) => { readonly param: Value; readonly moments: readonly Value[] };
}

/** An optimiser from its formula. */
export const defineOptimizer = <H extends string>(def: OptimizerDef<H>): OptimizerDef<H> => def;

export interface BuildOptimizerOptions {
  /**
   * Clips the gradients by their norm over all spans: the graph gets an input `maxNorm` f32[] (no clipping at Infinity) and
   * an output `gradNorm` f32[], the norm before. Source: Pascanu et al. 2013; PyTorch's clip_grad_norm_.
   */
  readonly clip?: boolean;
  /** For each tensor the number of its hyper-parameters, for tensors that share them; its own by default. */
  readonly hyperOf?: readonly number[];
}

/** The norm over all gradients, and the factor min(1, maxNorm / norm) that clips them. */
function clipping(graph: Graph, grads: readonly Value[]): { readonly norm: Value; readonly factor: Value } {
  const maxNorm = graph.input('maxNorm', 'float32', []);
  const squares = grads.map((grad) => o.reduceSum(o.mul(grad, grad)));
  const norm = o.sqrt(squares.reduce((a, b) => o.add(a, b)));
  return { norm, factor: o.minimum(o.div(maxNorm, o.add(norm, 1e-6)), 1) };
}

/**
 * The optimiser as a graph over flat spans: inputs `param.i`, `grad.i`, `<moment>.i`, `<hyper>.k` (f32[], k = hyperOf[i]) for
 * each tensor i of `sizes`, and `step` f32[]. Outputs `param.i.next`, `<moment>.i.next` may be written over the inputs: each is made
 * by an elementwise node after every other reader of that input.
 */
export function buildOptimizer<H extends string>(
  def: OptimizerDef<H>,
  sizes: readonly number[],
  { clip = false, hyperOf = sizes.map((_, i) => i) }: BuildOptimizerOptions = {},
): Graph {
  const graph = new Graph(`${def.name}_optimizer`);
  const step = graph.input('step', 'float32', []);
  const grads = sizes.map((size, i) => graph.input(`grad.${i}`, 'float32', [size]));
  const hypers = new Map(
    [...new Set(hyperOf)].map((k) => [
      k,
      Object.fromEntries(Object.keys(def.hyper).map((name) => [name, graph.input(`${name}.${k}`, 'float32', [])])),
    ]),
  );
  const clipped = clip ? clipping(graph, grads) : undefined;
  sizes.forEach((size, i) => {
    const flat = (name: string): Value => graph.input(`${name}.${i}`, 'float32', [size]);
    const param = flat('param');
    const grad = clipped === undefined ? grads[i]! : o.mul(grads[i]!, clipped.factor);
    const moments = def.moments.map(flat);
    const hyper = { ...hypers.get(hyperOf[i]!), step } as UpdateContext<H>['hyper'];
    const next = def.update({ param, grad, moments, hyper });
    graph.output(`param.${i}.next`, next.param);
    next.moments.forEach((moment, k) => {
      graph.output(`${def.moments[k]}.${i}.next`, moment);
    });
  });
  if (clipped !== undefined) graph.output('gradNorm', clipped.norm);
  return graph;
}
