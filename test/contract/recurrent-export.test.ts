import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import { type Shape, symDim } from '../../training/core/shape.ts';
import { sizeOf, type Tensor, tensor } from '../../training/core/tensor.ts';
import * as nn from '../../training/nn/layers.ts';
import { createScope, initialWeights, type Scope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Tensors } from '../../training/run/session.ts';
import { buildInference } from '../../training/step/train-step.ts';

type Outputs = Readonly<Record<string, Value>>;
type Build = (scope: Scope, inputs: Outputs) => Outputs;

const [n, t, c, hidden, layers] = [3, 9, 4, 5, 2];
const options = { hidden, layers, dropout: 0.5, weightDrop: 0.5 };

const nets: Readonly<
  Record<string, { readonly op: string; readonly states: readonly string[]; readonly build: Build }>
> = {
  rnn: {
    op: 'RNN',
    states: ['h'],
    build: (s, { x, h }) => renamed(nn.rnn(s, x!, options, h)),
  },
  'rnn with ReLU and no bias': {
    op: 'RNN',
    states: ['h'],
    build: (s, { x, h }) => renamed(nn.rnn(s, x!, { ...options, nonlinearity: 'relu', bias: false }, h)),
  },
  gru: { op: 'GRU', states: ['h'], build: (s, { x, h }) => renamed(nn.gru(s, x!, options, h)) },
  lstm: {
    op: 'LSTM',
    states: ['h', 'c'],
    build: (s, { x, h, c: cell }) => {
      const last = nn.lstm(s, x!, options, { hidden: h!, cell: cell! });
      return { ...renamed(last), 'last.c': last.cell };
    },
  },
};
/** The output, and the last state under the name of the first one and `last`. */
const renamed = ({ output, hidden: last }: nn.RecurrentOutput): Outputs => ({ y: output, 'last.h': last });

function random(dims: readonly number[], seed: string): Tensor<'float32'> {
  const rng = createRng(seed);
  return tensor(
    'float32',
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => rng.normal()),
  );
}

const inputsOf = (states: readonly string[], batch: Shape[number], time: Shape[number]) => [
  { name: 'x', dtype: 'float32' as const, shape: [batch, time, c] },
  ...states.map((name) => ({ name, dtype: 'float32' as const, shape: [layers, batch, hidden] })),
];

/** The unrolled graph with its weights as inputs, evaluated. */
async function unrolled(build: Build, states: readonly string[], feeds: Tensors, steps: number) {
  const graph = new Graph('unrolled');
  const scope = createScope(graph, { training: false });
  const inputs = inputsOf(states, n, steps).map(({ name, dtype, shape }) => [name, graph.input(name, dtype, shape)]);
  for (const [name, value] of Object.entries(build(scope, Object.fromEntries(inputs)))) graph.output(name, value);
  const weights = initialWeights(scope.specs, 11);
  const params = scope.specs.map(({ name, shape }) => [name, tensor('float32', shape, weights.get(name)!)] as const);
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const out = await session.run({ ...feeds, ...Object.fromEntries(params) });
  await session.release();
  return { out, weights, ops: graph.nodes.map(({ op }) => op) };
}

const worst = (a: Tensor, b: Tensor): number => {
  expect(a.dims).to.deep.equal(b.dims);
  return Math.max(...Array.from(a.data as Float32Array, (value, i) => Math.abs(value - Number(b.data[i]))));
};

describe('recurrent layers exported to the operators of ONNX', () => {
  for (const [name, { op, states, build }] of Object.entries(nets)) {
    it(`${name}: the exported graph gives what the unrolled one gives, for any batch and length`, async () => {
      const feeds: Tensors = {
        x: random([n, t, c], 'x'),
        ...Object.fromEntries(states.map((state) => [state, random([layers, n, hidden], state)])),
      };
      const { out, weights, ops } = await unrolled(build, states, feeds, t);
      const graph = buildInference('exported', inputsOf(states, symDim('N'), symDim('T')), weights, build);
      expect(ops).to.not.include(op);
      expect(graph.nodes.filter((node) => node.op === op)).to.have.length(layers);
      const model = toOnnx(graph);
      const session = await openSession(model, { threads: 1 });
      const exported = await session.run(feeds);
      for (const [key, value] of Object.entries(out)) expect(worst(exported[key]!, value), key).to.be.below(2e-6);
      // The weights in the file have the names and the order that training gave them.
      const stored = initializersOf(model);
      for (const [key, value] of weights) expect(stored.get(key), key).to.deep.equal(value);
      await session.release();
    });

    it(`${name}: a sequence in two parts with the state carried is the whole`, async () => {
      const x = random([n, t, c], 'x');
      const start = Object.fromEntries(states.map((state) => [state, random([layers, n, hidden], state)]));
      const cut = (from: number, to: number): Tensor<'float32'> => {
        const rows = Array.from({ length: n }, (_, i) => [...x.data.subarray((i * t + from) * c, (i * t + to) * c)]);
        return tensor('float32', [n, to - from, c], Float32Array.from(rows.flat()));
      };
      const whole = await unrolled(build, states, { x, ...start }, t);
      const first = await unrolled(build, states, { x: cut(0, 4), ...start }, 4);
      const carried = Object.fromEntries(states.map((state) => [state, first.out[`last.${state}`]!]));
      const second = await unrolled(build, states, { x: cut(4, t), ...carried }, t - 4);
      for (const state of states)
        expect(worst(second.out[`last.${state}`]!, whole.out[`last.${state}`]!), state).to.be.below(1e-6);
      const last = (y: Tensor, steps: number): Tensor => {
        const rows = Array.from({ length: n }, (_, i) => [
          ...(y.data as Float32Array).subarray(((i + 1) * steps - 1) * hidden, (i + 1) * steps * hidden),
        ]);
        return tensor('float32', [n, hidden], Float32Array.from(rows.flat()));
      };
      expect(worst(last(second.out.y!, t - 4), last(whole.out.y!, t))).to.be.below(1e-6);
    });
  }
});
