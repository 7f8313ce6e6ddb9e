import { expect } from 'chai';
import { backward } from '../../training/grad/backward.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Tensors } from '../../training/run/session.ts';
import { type GoldenCase, goldenCases, relativeError, tensorsOf } from './fixtures.ts';

/** Graph inputs of a case by name. */
type Inputs = Readonly<Record<string, Value>>;
/** Our form of a PyTorch function: its result, by the name that the fixtures give it. */
type Form = (inputs: Inputs, attrs: GoldenCase['attrs']) => Readonly<Record<string, Value>> | Value;

const input = (inputs: Inputs, name: string): Value => {
  const value = inputs[name];
  if (!value) throw new Error(`expected a fixture with the input ${name}, got ${Object.keys(inputs)}`);
  return value;
};
const ofX = (build: (x: Value, attrs: GoldenCase['attrs']) => Value): Form => {
  return (inputs, attrs) => build(input(inputs, 'x'), attrs);
};
const bothSides = ([h, w]: readonly number[]): number[] => [h!, w!, h!, w!];

const pool = (attrs: GoldenCase['attrs']): o.PoolOptions => {
  const { k, stride, pad } = attrs as Record<string, number>;
  return { kernel: k!, stride: stride!, padding: pad! };
};

const activations: Readonly<Record<string, (x: Value) => Value>> = {
  relu: o.relu,
  leakyRelu: (x) => o.leakyRelu(x, 0.2),
  sigmoid: o.sigmoid,
  tanh: o.tanh,
  softplus: o.softplus,
};

/** Operators and compositions that the builder alone has. */
const forms: Readonly<Record<string, Form>> = {
  conv2d: ({ x, w, b }, attrs) => {
    const { stride, pad, dilation, groups } = attrs as {
      stride: number[];
      pad: number[];
      dilation: number[];
      groups: number;
    };
    return o.conv(x!, w!, b, { stride, padding: bothSides(pad), dilation, groups });
  },
  maxPool: ofX((x, attrs) => o.maxPool(x, pool(attrs))),
  avgPool: ofX((x, attrs) => o.averagePool(x, { ...pool(attrs), countIncludePad: attrs.countPad === true })),
  globalAvgPool: ofX((x) => o.reduceMean(x, { axes: [2, 3], keepdims: true })),
  pixelShuffle: ofX((x, attrs) => o.pixelShuffle(x, attrs.factor as number)),
  resize: ofX((x, attrs) => o.resize(x, attrs.factor as number, attrs.mode === 'nearest' ? 'nearest' : 'linear')),
  pad: ofX((x, attrs) => {
    const { top, left, bottom, right } = attrs as Record<string, number>;
    return o.pad2d(x, [top!, left!, bottom!, right!], attrs.mode as o.PadMode);
  }),
  blur: ofX((x) => o.averagePool(o.pad2d(x, [1, 1, 0, 0], 'edge'), { kernel: 2, stride: 1 })),
  concat: ({ a, b, c }, attrs) => o.concat([a!, b!, c!], attrs.axis as number),
  slice: ofX((x, attrs) => o.slice(x, attrs as unknown as Parameters<typeof o.slice>[1])),
  matmul: ({ a, b }) => o.matmul(a!, b!),
  linear: ({ x, w, b }) => o.gemm(x!, w!, b, { transB: true }),
  softmax: ofX((x, attrs) => o.softmax(x, attrs.axis as number)),
  logSoftmax: ofX((x, attrs) => o.logSoftmax(x, attrs.axis as number)),
};

function formOf({ op, name }: GoldenCase): Form | undefined {
  return op === 'activation' ? activations[name] && ofX(activations[name]) : forms[op];
}

/** sum(y * dy) over all outputs, the scalar whose gradients the fixtures hold. */
function dotAll(graph: Graph, outputs: Readonly<Record<string, Value>>, dy: Tensors): Value {
  const terms = Object.entries(dy).map(([name, { dims, data }]) => {
    const weight = graph.constant('float32', dims, data as Float32Array, `dy/${name}`);
    return o.reduceSum(o.mul(outputs[name]!, weight));
  });
  return terms.reduce((a, b) => o.add(a, b));
}

/** Builds forward and gradients of one case, runs them on the CPU and returns outputs and `grad/NAME`. */
async function compute(golden: GoldenCase, form: Form): Promise<Tensors> {
  const feeds = tensorsOf(golden.inputs);
  const graph = new Graph(golden.op);
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, { dims }]) => [name, graph.input(name, 'float32', dims)]),
  );
  const made = form(inputs, golden.attrs);
  const outputs = 'graph' in made ? { y: made as Value } : (made as Readonly<Record<string, Value>>);
  const wanted = Object.keys(golden.grads ?? {});
  const grads = backward(
    dotAll(graph, outputs, tensorsOf(golden.dy)),
    wanted.map((name) => input(inputs, name)),
  );
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  for (const name of wanted) graph.output(`grad/${name}`, grads.get(input(inputs, name))!);
  const session = await openSession(toOnnx(graph), { threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** PyTorch's numbers under the names that {@link compute} gives. */
const expected = (golden: GoldenCase) => ({
  ...tensorsOf(golden.outputs),
  ...Object.fromEntries(Object.entries(tensorsOf(golden.grads)).map(([name, value]) => [`grad/${name}`, value])),
});

describe('operators against PyTorch, forward and gradients', () => {
  for (const golden of goldenCases) {
    const form = formOf(golden);
    if (!form) continue;
    it(`${golden.op}, ${golden.name}`, async () => {
      const got = await compute(golden, form);
      for (const [name, tensor] of Object.entries(expected(golden))) {
        expect(relativeError(got[name]!, tensor), name).to.be.below(2e-6);
      }
    });
  }
});
