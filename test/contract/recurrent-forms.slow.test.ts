import { expect } from 'chai';
import { createRng, mixSeed } from '../../training/core/rng.ts';
import { sizeOf, type Tensor, tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import * as nn from '../../training/nn/layers.ts';
import type { LoopForm } from '../../training/nn/loop.ts';
import { createScope, type Scope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Tensors } from '../../training/run/session.ts';
import { relativeError } from '../golden/fixtures.ts';
import { type PlainKind, plainRecurrent } from '../helpers/plain-recurrent.ts';

interface Size {
  readonly n: number;
  readonly t: number;
  readonly c: number;
  readonly hidden: number;
}
type Build = (scope: Scope, x: Value) => Value;

/** Numbers in proportion to 1 / sqrt(last axis), by name. */
function drawn({ name, shape }: Value): Tensor<'float32'> {
  const dims = shape as number[];
  const rng = createRng(mixSeed(name));
  const scale = 1 / Math.sqrt(dims.at(-1)!);
  return tensor(
    'float32',
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => scale * rng.normal()),
  );
}

/** y, and the gradients by x and all parameters of the sum of y times random numbers. */
async function compute({ n, t, c }: Size, loops: LoopForm, build: Build): Promise<{ nodes: number; results: Tensors }> {
  const graph = new Graph('forms');
  const scope = createScope(graph, { training: true, loops });
  const x = graph.input('x', 'float32', [n, t, c]);
  const y = build(scope, x);
  const dy = graph.input('dy', 'float32', y.shape);
  const wrt = [x, ...scope.specs.map(({ name }) => scope.values.get(name)!)];
  const grads = backward(o.reduceSum(o.mul(y, dy)), wrt);
  graph.output('y', y);
  for (const value of wrt) graph.output(`grad/${value.name}`, grads.get(value)!);
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const seeds = {
    'random.seed': tensor('uint32', [], Uint32Array.of(3)),
    'random.step': tensor('uint32', [], Uint32Array.of(1)),
  };
  const feeds = Object.fromEntries([dy, ...wrt].map((value) => [value.name, drawn(value)]));
  const results = await session.run({ ...feeds, ...(session.inputNames.includes('random.seed') ? seeds : {}) });
  await session.release();
  return { nodes: graph.nodes.length, results };
}

function expectSame(got: Tensors, want: Tensors): void {
  expect(Object.keys(got)).to.have.members(Object.keys(want));
  for (const [name, tensor] of Object.entries(want))
    expect(relativeError(got[name]!, tensor as Tensor<'float32'>), name).to.be.below(2e-5);
}

/** Few numbers in a state, and so many that the way back computes its factors step by step. */
const sizes: readonly Size[] = [
  { n: 3, t: 5, c: 4, hidden: 6 },
  { n: 2, t: 1, c: 3, hidden: 4 },
  { n: 40, t: 4, c: 12, hidden: 420 },
];
const layers = { gru: nn.gru, lstm: nn.lstm };
const loopForms: readonly LoopForm[] = ['unrolled', 'scan'];

describe('recurrent layers: both forms of the loop against the formulas with derivatives by rule', () => {
  for (const kind of ['gru', 'lstm'] as const satisfies readonly PlainKind[])
    for (const size of sizes)
      it(`${kind}, ${Object.entries(size).flat().join(' ')}`, async () => {
        const { hidden } = size;
        const plain = await compute(size, 'unrolled', (s, x) => plainRecurrent(s, x, kind, hidden, 2));
        for (const loops of loopForms) {
          const { results } = await compute(size, loops, (s, x) => layers[kind](s, x, { hidden, layers: 2 }).output);
          expectSame(results, plain.results);
        }
      });
});

/** Everything a layer gives, from states that are parameters, in one value. */
const all: Readonly<Record<string, Build>> = {
  rnn: (s, x) => joined(nn.rnn(s, x, { hidden: 6, layers: 2, dropout: 0.3 }, start(s, x, 'h'))),
  'rnn with ReLU and no bias': (s, x) =>
    joined(nn.rnn(s, x, { hidden: 6, layers: 2, nonlinearity: 'relu', bias: false }, start(s, x, 'h'))),
  gru: (s, x) => joined(nn.gru(s, x, { hidden: 6, layers: 2, weightDrop: 0.3 }, start(s, x, 'h'))),
  lstm: (s, x) => {
    const { cell, ...rest } = nn.lstm(
      s,
      x,
      { hidden: 6, layers: 2 },
      { hidden: start(s, x, 'h'), cell: start(s, x, 'c') },
    );
    return o.concat([joined(rest), o.reshape(cell, [-1])], 0);
  },
};
const start = (scope: Scope, x: Value, name: string): Value =>
  scope.param(name, [2, x.shape[0] as number, 6], () => new Float32Array());
const joined = ({ output, hidden }: nn.RecurrentOutput): Value =>
  o.concat([o.reshape(output, [-1]), o.reshape(hidden, [-1])], 0);

describe('recurrent layers as a Scan', () => {
  for (const [name, build] of Object.entries(all))
    it(`${name}: the same outputs, last states and gradients, first states included, in fewer nodes`, async () => {
      const size = { n: 3, t: 9, c: 4, hidden: 6 };
      const [unrolled, scan] = [await compute(size, 'unrolled', build), await compute(size, 'scan', build)];
      expectSame(scan.results, unrolled.results);
      expect(scan.nodes).to.be.below(unrolled.nodes);
    });
});
