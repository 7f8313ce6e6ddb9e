import { Graph, type Value } from '../onnx/graph.ts';

/** What an update formula works with: flat f32 tensors of one segment, and hyper-parameters as f32 scalars. */
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

/**
 * The optimiser as a graph over flat segments: inputs `param.i`, `grad.i`, `<moment>.i`, `<hyper>.i` (f32[]) for each segment
 * i of `sizes`, and `step` f32[]. Outputs `param.i.next`, `<moment>.i.next` may be written over the inputs: each is made
 * by an elementwise node after every other reader of that input.
 */
export function buildOptimizer<H extends string>(def: OptimizerDef<H>, sizes: readonly number[]): Graph {
  const graph = new Graph(`${def.name}_optimizer`);
  const step = graph.input('step', 'float32', []);
  sizes.forEach((size, i) => {
    const flat = (name: string): Value => graph.input(`${name}.${i}`, 'float32', [size]);
    const param = flat('param');
    const grad = flat('grad');
    const moments = def.moments.map(flat);
    const entries = Object.keys(def.hyper).map((name) => [name, graph.input(`${name}.${i}`, 'float32', [])]);
    const next = def.update({ param, grad, moments, hyper: { ...Object.fromEntries(entries), step } });
    graph.output(`param.${i}.next`, next.param);
    next.moments.forEach((moment, k) => {
      graph.output(`${def.moments[k]}.${i}.next`, moment);
    });
  });
  return graph;
}
