import { expect } from 'chai';
import { f32, sizeOf } from '../../training/core/tensor.ts';
import { dropout } from '../../training/nn/layers.ts';
import { randomUniform } from '../../training/nn/random.ts';
import { createScope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session } from '../../training/run/session.ts';

const word = (value: number) => ({ dtype: 'uint32', dims: [], data: Uint32Array.of(value) }) as const;
const count = 40_000;

/** Mean and variance. */
function moments(values: Float32Array): readonly [number, number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [mean, values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length];
}

function correlation(a: Float32Array, b: Float32Array): number {
  const [[meanA, varA], [meanB, varB]] = [moments(a), moments(b)];
  const covariance = a.reduce((sum, value, i) => sum + (value - meanA) * (b[i]! - meanB), 0) / a.length;
  return covariance / Math.sqrt(varA * varB);
}

/** Pearson's chi-squared of `bins` equal bins; its mean is bins - 1, its standard deviation sqrt(2 (bins - 1)). */
function chiSquared(values: Float32Array, bins: number): number {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) counts[Math.floor(value * bins)]! += 1;
  const expected = values.length / bins;
  return counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
}

describe('random numbers in a graph', () => {
  let session: Session;
  before(async () => {
    const graph = new Graph('random');
    for (const layer of [0, 1, 7]) graph.output(`layer${layer}`, randomUniform(graph, [100, count / 100], layer));
    session = await openSession(toOnnx(graph), { threads: 1 });
  });
  after(() => session.release());

  async function draw(seed: number, step: number, layer = 0): Promise<Float32Array> {
    const results = await session.run({ 'random.seed': word(seed), 'random.step': word(step) });
    return results[`layer${layer}`]!.data as Float32Array;
  }

  it('lie in [0, 1), with the mean, variance and evenness of a uniform distribution', async () => {
    for (const [seed, step] of [
      [0, 0],
      [1, 0],
      [1, 123456],
      [2 ** 32 - 1, 3],
    ] as const) {
      const values = await draw(seed, step);
      expect(values.every((value) => value >= 0 && value < 1)).to.equal(true);
      const [mean, variance] = moments(values);
      // Five standard deviations of the mean and of the variance of 40 000 draws.
      expect(mean).to.be.closeTo(0.5, 5 / Math.sqrt(12 * count));
      expect(variance).to.be.closeTo(1 / 12, 5 * Math.sqrt(1 / 180 / count));
      expect(chiSquared(values, 256)).to.be.within(255 - 5 * Math.sqrt(510), 255 + 5 * Math.sqrt(510));
    }
  });

  it('are the same bits for the same seed and step', async () => {
    expect(await draw(5, 9)).to.deep.equal(await draw(5, 9));
  });

  it('have nothing to do with those of the next seed, step, layer or position', async () => {
    const first = await draw(5, 9);
    const others = {
      seed: await draw(6, 9),
      step: await draw(5, 10),
      'seed and step exchanged': await draw(9, 5),
      layer: await draw(5, 9, 1),
      'far layer': await draw(5, 9, 7),
    };
    for (const [name, other] of Object.entries(others))
      expect(Math.abs(correlation(first, other)), name).to.be.below(5 / Math.sqrt(count));
    for (const lag of [1, 2, 32, 400]) {
      const [a, b] = [first.subarray(0, count - lag), first.subarray(lag)];
      expect(Math.abs(correlation(a, b)), `lag ${lag}`).to.be.below(5 / Math.sqrt(count - lag));
    }
  });

  it('do not repeat from step to step: no two of 20 steps share a first value', async () => {
    const firsts = new Set<number>();
    for (let step = 0; step < 20; step++) firsts.add((await draw(1, step))[0]!);
    expect(firsts.size).to.equal(20);
  });
});

describe('dropout', () => {
  const dims = [40, 1000];
  const x = f32(
    dims,
    Array.from({ length: sizeOf(dims) }, (_, i) => 1 + (i % 7)),
  );

  async function run(p: number, training: boolean, step = 1): Promise<Float32Array> {
    const graph = new Graph('dropout');
    const scope = createScope(graph, { training });
    graph.output('y', dropout(scope, graph.input('x', 'float32', dims), p));
    const session = await openSession(toOnnx(graph), { threads: 1 });
    const { y } = await session.run({ x, 'random.seed': word(3), 'random.step': word(step) });
    await session.release();
    return y!.data as Float32Array;
  }

  for (const p of [0.1, 0.5, 0.9]) {
    it(`zeroes ${p} of the elements and scales the others by ${1 / (1 - p)}`, async () => {
      const y = await run(p, true);
      const zeros = y.filter((value) => value === 0).length / y.length;
      expect(zeros).to.be.closeTo(p, 5 * Math.sqrt((p * (1 - p)) / y.length));
      const wrong = y.findIndex((value, i) => value !== 0 && Math.abs(value - x.data[i]! / (1 - p)) > 1e-4 * value);
      expect(wrong).to.equal(-1);
    });
  }

  it('drops others in the next step', async () => {
    const [one, two] = [await run(0.5, true, 1), await run(0.5, true, 2)];
    const same = one.filter((value, i) => (value === 0) === (two[i] === 0)).length / one.length;
    expect(same).to.be.closeTo(0.5, 5 * Math.sqrt(0.25 / one.length));
  });

  it('is the identity outside training, and with p = 0', async () => {
    expect(await run(0.5, false)).to.deep.equal(x.data);
    expect(await run(0, true)).to.deep.equal(x.data);
  });

  it('refuses probabilities outside [0, 1)', () => {
    const graph = new Graph('bad');
    const input = graph.input('x', 'float32', [2]);
    const scope = createScope(graph, { training: true });
    for (const p of [-0.1, 1, Number.NaN]) expect(() => dropout(scope, input, p)).to.throw(/dropout: expected/);
  });
});
