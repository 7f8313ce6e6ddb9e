import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';

/** x[N,C,H,W], and square windows. */
interface Case {
  readonly x: readonly [number, number, number, number];
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

const cases: readonly Case[] = [
  { x: [2, 3, 8, 6], kernel: 3, stride: 2, padding: 1 },
  { x: [2, 3, 6, 8], kernel: 2, stride: 2, padding: 0 },
  { x: [2, 2, 7, 9], kernel: 3, stride: 2, padding: 1 },
  { x: [1, 2, 6, 6], kernel: 3, stride: 1, padding: 1 },
  { x: [1, 2, 9, 9], kernel: 3, stride: 3, padding: 0 },
];

/** Values out of -2, -1, 0, 1, so that most windows have several maxima. */
function tied(dims: readonly number[], seed: string): Tensor<'float32'> {
  const rng = createRng(seed);
  return { dtype: 'float32', dims, data: Float32Array.from({ length: sizeOf(dims) }, () => rng.int(-2, 1)) };
}

/** dx loop by loop: each window's dy to its first maximum in row-major order. */
function byLoops(x: Tensor, dy: Tensor, { kernel, stride, padding }: Case): Float64Array {
  const [n, c, height, width] = x.dims as [number, number, number, number];
  const [, , h, w] = dy.dims as [number, number, number, number];
  const dx = new Float64Array(sizeOf(x.dims));
  for (let plane = 0; plane < n * c; plane++) {
    for (let out = 0; out < h * w; out++) {
      let best = -1;
      for (let tap = 0; tap < kernel * kernel; tap++) {
        const row = Math.floor(out / w) * stride + Math.floor(tap / kernel) - padding;
        const column = (out % w) * stride + (tap % kernel) - padding;
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        const at = (plane * height + row) * width + column;
        if (best === -1 || Number(x.data[at]) > Number(x.data[best])) best = at;
      }
      dx[best]! += Number(dy.data[plane * h * w + out]);
    }
  }
  return dx;
}

async function gradient(
  one: Case,
  given = tied(one.x, 'x'),
): Promise<{ readonly dx: Tensor; readonly wanted: Float64Array }> {
  const graph = new Graph('pool');
  const x = graph.input('x', 'float32', one.x);
  const y = o.maxPool(x, one);
  const dims = y.shape as readonly number[];
  const dy = graph.input('dy', 'float32', dims);
  graph.output('dx', backward(o.reduceSum(o.mul(y, dy)), [x]).get(x)!);
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const feeds = { x: given, dy: tied(dims, 'dy') };
  const { dx } = await session.run(feeds);
  await session.release();
  return { dx: dx!, wanted: byLoops(feeds.x, feeds.dy, one) };
}

describe('the gradient of max pooling', () => {
  for (const one of cases) {
    it(`goes to the first of equal maxima: ${one.x}, kernel ${one.kernel}, stride ${one.stride}, padding ${one.padding}`, async () => {
      const { dx, wanted } = await gradient(one);
      expect(Array.from(dx.data, Number)).to.deep.equal(Array.from(wanted, (value) => value + 0));
    });
  }

  it('is there beside infinities', async () => {
    const x = tied([1, 1, 4, 4], 'infinite');
    x.data[3] = Number.NEGATIVE_INFINITY;
    x.data[12] = Number.POSITIVE_INFINITY;
    const { dx, wanted } = await gradient({ x: [1, 1, 4, 4], kernel: 2, stride: 2, padding: 0 }, x);
    expect(Array.from(dx.data, Number)).to.deep.equal(Array.from(wanted, (value) => value + 0));
  });
});
