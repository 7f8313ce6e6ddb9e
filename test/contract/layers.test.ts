import { expect } from 'chai';
import { f32, i32, sizeOf, type Tensor, tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import * as nn from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import { createScope, initialWeights, type Scope } from '../../training/nn/scope.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { Tensors } from '../../training/run/session.ts';
import { runOnce } from '../golden/compute.ts';

type Build = (scope: Scope, x: Value, graph: Graph) => Readonly<Record<string, Value>>;

const word = (value: number): Tensor => tensor('uint32', [], Uint32Array.of(value));

/** Runs what `build` makes of `x` with first weights; with `exported`, the weights are constants. */
async function outputs(x: Tensor, build: Build, mode: 'training' | 'evaluation' | 'exported' = 'training', step = 5) {
  const make = (weights?: ReadonlyMap<string, Float32Array>) => {
    const graph = new Graph('layer');
    const input = graph.input('x', x.dtype, x.dims);
    const scope = createScope(graph, { training: mode === 'training', ...(weights && { weights }) });
    for (const [name, value] of Object.entries(build(scope, input, graph))) graph.output(name, value);
    return { graph, scope };
  };
  const { graph, scope } = make();
  const weights = initialWeights(scope.specs, 1);
  if (mode === 'exported') return runOnce(make(weights).graph, { x });
  const params = scope.specs.map(({ name, shape }) => [name, f32(shape, weights.get(name)!)] as const);
  const random: Tensors = { 'random.seed': word(3), 'random.step': word(step) };
  return runOnce(graph, { x, ...Object.fromEntries(params), ...random });
}

const ones = (...dims: number[]): Tensor<'float32'> => f32(dims, new Float32Array(sizeOf(dims)).fill(1));
const numbers = (found: Tensor | undefined): number[] => Array.from(found!.data as Float32Array);
/** The distinct values of each row of `length` numbers. */
const rowsOf = (values: readonly number[], length: number): number[][] =>
  Array.from({ length: values.length / length }, (_, i) => [...new Set(values.slice(i * length, (i + 1) * length))]);

describe('dropouts', () => {
  it('zero their share and keep the mean', async () => {
    const { y } = await outputs(ones(100, 200), (s, x) => ({ y: nn.dropout(s, x, 0.3) }));
    const values = numbers(y);
    const zeros = values.filter((value) => value === 0).length / values.length;
    expect(zeros).to.be.closeTo(0.3, 0.015);
    expect([...new Set(values)].sort()).to.deep.equal([0, Math.fround(1 / 0.7)]);
  });

  it('draw anew at every step and place, and repeat for the same step', async () => {
    const two: Build = (s, x) => ({ a: nn.dropout(s, x, 0.5), b: nn.dropout(s, x, 0.5) });
    const first = await outputs(ones(64), two);
    const again = await outputs(ones(64), two);
    const later = await outputs(ones(64), two, 'training', 6);
    expect(numbers(again.a)).to.deep.equal(numbers(first.a));
    expect(numbers(first.b)).to.not.deep.equal(numbers(first.a));
    expect(numbers(later.a)).to.not.deep.equal(numbers(first.a));
  });

  it('do nothing outside training', async () => {
    const all: Build = (s, x) => ({
      y: nn.variationalDropout(s, nn.weightDrop(s, nn.dropout2d(s, nn.dropout(s, x, 0.5), 0.5), 0.5), 0.5),
    });
    expect(numbers((await outputs(ones(3, 4, 5), all, 'evaluation')).y)).to.deep.equal(numbers(ones(3, 4, 5)));
  });

  it('dropout2d takes whole channels', async () => {
    const { y } = await outputs(ones(8, 16, 3, 3), (s, x) => ({ y: nn.dropout2d(s, x, 0.5) }));
    const channels = rowsOf(numbers(y), 9);
    expect(channels.every((values) => values.length === 1)).to.equal(true);
    expect(new Set(channels.flat())).to.deep.equal(new Set([0, 2]));
  });

  it('variationalDropout has one mask for all time steps, another for each sequence', async () => {
    const { y } = await outputs(ones(2, 5, 32), (s, x) => ({ y: nn.variationalDropout(s, x, 0.5) }));
    const steps = Array.from({ length: 10 }, (_, i) => numbers(y).slice(i * 32, (i + 1) * 32));
    for (const step of steps.slice(1, 5)) expect(step).to.deep.equal(steps[0]);
    expect(steps[5]).to.not.deep.equal(steps[0]);
  });

  it('embedding dropout takes words wherever they occur', async () => {
    const indices = i32(
      [4, 32],
      Array.from({ length: 128 }, (_, i) => (i * 7) % 16),
    );
    const { y } = await outputs(indices, (s, x) => ({
      y: nn.embedding(s, x, {
        rows: 16,
        width: 3,
        dropout: 0.5,
        init: (shape) => new Float32Array(sizeOf(shape)).fill(1),
      }),
    }));
    const byWord = new Map<number, Set<number>>();
    indices.data.forEach((id, i) => {
      for (const value of numbers(y).slice(i * 3, i * 3 + 3)) byWord.set(id, (byWord.get(id) ?? new Set()).add(value));
    });
    expect([...byWord.values()].every((values) => values.size === 1)).to.equal(true);
    expect(new Set([...byWord.values()].flatMap((values) => [...values]))).to.deep.equal(new Set([0, 2]));
  });
});

describe('layers', () => {
  it('a spectral norm is exported as the plain weight, whose largest singular value is 1', async () => {
    const build: Build = (s, x) => ({ y: nn.conv2d(s, x, { filters: 3, kernel: 1, spectralNorm: true }) });
    const x = f32([1, 2, 1, 2], [1, -2, 0.5, 3]);
    const evaluated = await outputs(x, build, 'evaluation');
    const exported = await outputs(x, build, 'exported');
    numbers(evaluated.y).forEach((value, i) => {
      expect(numbers(exported.y)[i]).to.be.closeTo(value, 1e-6);
    });
    // Columns of the 3x2 weight, by the pictures (1, 0) and (0, 1); its singular values from the 2x2 Gram matrix.
    const columns = numbers((await outputs(f32([2, 2, 1, 1], [1, 0, 0, 1]), build, 'exported')).y);
    const gram = (i: number, j: number): number =>
      [0, 1, 2].reduce((sum, k) => sum + columns[3 * i + k]! * columns[3 * j + k]!, 0);
    const [trace, det] = [gram(0, 0) + gram(1, 1), gram(0, 0) * gram(1, 1) - gram(0, 1) ** 2];
    expect((trace + Math.sqrt(trace ** 2 - 4 * det)) / 2).to.be.closeTo(1, 1e-4);
  });

  it('the padding row of an embedding is zero and stays so: no gradient reaches it', async () => {
    const indices = i32([4], [1, 2, 1, 3]);
    const { y, grad } = await outputs(indices, (s, x) => {
      const words = nn.embedding(s, x, { rows: 200, width: 2, paddingIndex: 1 });
      const table = s.values.get('weight')!;
      return { y: words, grad: backward(o.reduceSum(words), [table]).get(table)! };
    });
    expect(rowsOf(numbers(y), 2)[0]).to.deep.equal([0]);
    const rows = rowsOf(numbers(grad), 2).flatMap(([value], i) => (value === 0 ? [] : [[i, value]]));
    expect(rows).to.deep.equal([
      [2, 1],
      [3, 1],
    ]);
  });

  it("the lesson's ResNet-ish from conv blocks and residual blocks has 41 132 parameters", () => {
    const graph = new Graph('resnetish');
    const scope = createScope(graph, { training: true });
    const widths = [8, 16, 32, 16, 10];
    const y = widths.reduce(
      (x, filters, i) => {
        const down = scope.in(`down${i}`, (s) => nn.convBlock(s, x, { filters, stride: 2 }));
        return i === widths.length - 1 ? down : scope.in(`res${i}`, (s) => nn.resBlock(s, down, { norm: 'batch' }));
      },
      graph.input('x', 'float32', [2, 1, 28, 28]),
    );
    expect(nn.flatten(y).shape).to.deep.equal([2, 10]);
    const params = scope.specs.filter(({ kind }) => kind === 'param');
    expect(params.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).to.equal(41_132);
  });

  it('shapes of pools, blocks and recurrent layers', () => {
    const graph = new Graph('shapes');
    const scope = createScope(graph, { training: true });
    const picture = graph.input('picture', 'float32', [2, 8, 12, 10]);
    const words = graph.input('words', 'float32', [3, 7, 8]);
    const made = (name: string, build: (s: Scope) => Value): readonly unknown[] => scope.in(name, build).shape;
    expect(made('a', () => nn.adaptiveConcatPool(picture))).to.deep.equal([2, 16, 1, 1]);
    for (const pool of [nn.adaptiveAveragePool, nn.adaptiveMaxPool])
      expect(made(`a ${pool.name}`, () => pool(picture))).to.deep.equal([2, 8, 1, 1]);
    expect(made('b', (s) => nn.denseTransition(s, nn.denseBlock(s, picture, { layers: 3, growth: 4 })))).to.deep.equal([
      2, 10, 6, 5,
    ]);
    expect(made('c', (s) => nn.bottleneckBlock(s, picture, { filters: 4, stride: 2 }))).to.deep.equal([2, 16, 6, 5]);
    expect(made('d', (s) => nn.resBlock(s, picture, { dense: true, bottle: true }))).to.deep.equal([2, 16, 12, 10]);
    expect(made('e', (s) => nn.lstm(s, words, { hidden: 6, layers: 2 }).cell)).to.deep.equal([2, 3, 6]);
    expect(made('f', (s) => nn.gru(s, words, { hidden: 6 }).output)).to.deep.equal([3, 7, 6]);
    expect(
      made('g', (s) => nn.convTranspose2d(s, picture, { filters: 3, kernel: 4, stride: 2, padding: 1 })),
    ).to.deep.equal([2, 3, 24, 20]);
  });

  it('say what is wrong with their arguments', () => {
    const graph = new Graph('errors');
    const scope = createScope(graph, { training: true });
    const picture = graph.input('picture', 'float32', [2, 8, 12, 10]);
    const words = graph.input('words', 'float32', [3, 7, 8]);
    const wrong: readonly (readonly [() => Value, RegExp])[] = [
      [
        () => nn.conv2d(scope, words, { filters: 3 }),
        /conv2d: expected \[N,C\] and 2 more axes, got words: float32\[3,7,8\]/,
      ],
      [
        () => nn.conv2d(scope, picture, { filters: 3, groups: 3 }),
        /groups that divide channels and filters, got 3 of 8 and 3/,
      ],
      [
        () => nn.conv2d(scope, picture, { filters: 3, stride: 2, padding: 'same' }),
        /stride 1 with padding 'same', got 2/,
      ],
      [() => nn.groupNorm(scope, picture, 3), /groups that divide 8 channels, got 3/],
      [() => nn.dropout(scope, picture, 1), /probability in \[0, 1\), got 1/],
      [() => nn.embedding(scope, words, { rows: 4, width: 2 }), /int32 indices, got words/],
      [() => nn.lstm(scope, picture, { hidden: 4 }).output, /x\[N,T,C\], got picture/],
      [
        () => nn.gru(scope, words, { hidden: 4, layers: 2 }, graph.input('h', 'float32', [1, 3, 4])).output,
        /a state \[2,N,H\], got h/,
      ],
      [() => nn.mergeLayer()(scope, picture, words), /equal shapes to add/],
      [() => nn.adaptiveMaxPool(picture, [2, 2, 2]), /a whole size per spatial axis/],
      ...[0, 2.5, undefined as unknown as number].map(
        (n) => [() => nn.linear(scope, words, n), new RegExp(`linear: .* at least 1, got ${n}`)] as const,
      ),
      [() => losses.crossEntropyLoss(picture, words), /logits f32\[N,C,\.\.\.\] and labels int32\[N,\.\.\.\]/],
      [() => losses.huberLoss(picture, words), /prediction and f32 target of one shape/],
    ];
    for (const [run, message] of wrong) expect(run).to.throw(message);
  });
});

describe('losses', () => {
  it('cross-entropy with every position ignored is 0, and so is its gradient', async () => {
    const { loss, grad } = await outputs(f32([2, 3], [1, 2, 3, 4, 5, 6]), (_, x, graph) => {
      const labels = graph.constant('int32', [2], Int32Array.of(-100, -100));
      const value = losses.crossEntropyLoss(x, labels, { ignoreIndex: -100 });
      return { loss: value, grad: backward(value, [x]).get(x)! };
    });
    expect([...numbers(loss), ...numbers(grad)].every((value) => value === 0)).to.equal(true);
  });

  it('stay finite for logits of a thousand', async () => {
    const { a, b, c } = await outputs(f32([2, 2], [1000, -1000, -1000, 1000]), (_, x, graph) => {
      const target = graph.constant('float32', [2, 2], Float32Array.of(0, 1, 0, 1));
      const labels = graph.constant('int32', [2], Int32Array.of(1, 1));
      return {
        a: losses.bceWithLogitsLoss(x, target),
        b: losses.binaryFocalLoss(x, target),
        c: losses.crossEntropyLoss(x, labels),
      };
    });
    expect([numbers(a), numbers(b), numbers(c)]).to.deep.equal([[500], [500], [1000]]);
  });
});
