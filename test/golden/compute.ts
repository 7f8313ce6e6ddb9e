import type { Tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { createScope, type Scope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Tensors } from '../../training/run/session.ts';
import { type GoldenCase, type NamedTensors, tensorsOf } from './fixtures.ts';

type Attrs = GoldenCase['attrs'];
/** Graph values by the names of the fixtures. */
type Values = Readonly<Record<string, Value>>;

/** Our form of a PyTorch function. */
export interface Form {
  /** Fixture inputs that are parameters of the scope, with the names they have there. */
  readonly params: Readonly<Record<string, string>>;
  readonly training: boolean;
  /** The results by the fixtures' names. */
  readonly build: (inputs: Values, attrs: Attrs, scope: Scope) => Values;
}

/** A form without parameters whose one result is `y`. */
export const plain = (build: (inputs: Values, attrs: Attrs) => Value): Form => ({
  params: {},
  training: true,
  build: (inputs, attrs) => ({ y: build(inputs, attrs) }),
});

/** A form without parameters of the one input `x`. */
export const ofX = (build: (x: Value, attrs: Attrs) => Value): Form => plain(({ x }, attrs) => build(x!, attrs));

/** sum(y * dy) over the outputs that have a dy: the scalar whose gradients the fixtures hold. */
function dotAll(graph: Graph, outputs: Values, dy: NamedTensors): Value {
  const terms = Object.entries(dy).map(([name, { dims, data }]) =>
    o.reduceSum(o.mul(outputs[name]!, graph.constant('float32', dims, data, `dy/${name}`))),
  );
  return terms.reduce((a, b) => o.add(a, b));
}

/** Same elements, other dims. */
const reshaped = ({ dtype, data }: Tensor<'float32'>, dims: readonly number[]): Tensor<'float32'> => ({
  dtype,
  dims,
  data,
});

/** Runs a graph once on the CPU. */
export async function runOnce(graph: Graph, feeds: Tensors): Promise<Tensors> {
  const session = await openSession(toOnnx(graph), { threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Forward and gradients of one case, and what to feed: outputs by name and gradients as `grad/NAME`. */
export function graphOf(golden: GoldenCase, { params, training, build }: Form): { graph: Graph; feeds: Tensors } {
  const fixtures = tensorsOf(golden.inputs);
  const graph = new Graph(golden.op);
  const scope = createScope(graph, { training });
  const own = Object.entries(fixtures).filter(([name]) => params[name] === undefined);
  const inputs = Object.fromEntries(own.map(([name, { dims }]) => [name, graph.input(name, 'float32', dims)]));
  const outputs = build(inputs, golden.attrs, scope);
  const graphValue = (name: string): Value => inputs[name] ?? scope.values.get(params[name]!)!;
  const wanted = Object.keys(golden.grads ?? {});
  const grads = backward(dotAll(graph, outputs, tensorsOf(golden.dy)), wanted.map(graphValue));
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  for (const name of wanted) graph.output(`grad/${name}`, grads.get(graphValue(name))!);
  const named = Object.keys(fixtures).map((name) => ({ name, value: graphValue(name) }));
  const feeds = named.map(({ name, value }) => [
    value.name,
    reshaped(fixtures[name]!, value.shape as readonly number[]),
  ]);
  return { graph, feeds: Object.fromEntries(feeds) };
}

/** Builds a case and runs it on the CPU. */
export function compute(golden: GoldenCase, form: Form): Promise<Tensors> {
  const { graph, feeds } = graphOf(golden, form);
  return runOnce(graph, feeds);
}

/** PyTorch's numbers under the names that {@link compute} gives. */
export const expectedOf = (golden: GoldenCase): NamedTensors => ({
  ...tensorsOf(golden.outputs),
  ...Object.fromEntries(Object.entries(tensorsOf(golden.grads)).map(([name, value]) => [`grad/${name}`, value])),
});
