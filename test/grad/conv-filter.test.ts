import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { convGeometry } from '../../training/grad/conv.ts';
import { filterForm, filterForms } from '../../training/grad/conv-filter.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { ConvGeometry } from '../../training/ops/conv-parts.ts';
import { openSession } from '../../training/run/ort.node.ts';

/** A convolution: x[N,C,H,W] or [N,C,L], filters, kernel, and the rest; `form` is the form that its shapes ask for. */
interface Case {
  readonly x: readonly number[];
  readonly filters: number;
  readonly kernel: readonly number[];
  readonly groups?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly padding?: readonly number[];
  readonly form: keyof typeof filterForms;
}

const cases: readonly Case[] = [
  { x: [2, 3, 20, 18], filters: 2, kernel: [3, 3], padding: [1, 1, 1, 1], form: 'taps' },
  { x: [2, 4, 9, 9], filters: 6, kernel: [3, 3], groups: 2, padding: [1, 1, 1, 1], form: 'taps' },
  { x: [2, 2, 90], filters: 3, kernel: [5], stride: 2, dilation: 2, padding: [3, 2], form: 'taps' },
  { x: [2, 6, 7], filters: 8, kernel: [3], padding: [1, 1], form: 'columns' },
  { x: [6, 8, 14, 14], filters: 3, kernel: [3, 3], padding: [1, 1, 1, 1], form: 'shifts' },
  { x: [40, 2, 5, 7], filters: 2, kernel: [5, 3], padding: [2, 1, 2, 1], form: 'shifts' },
  { x: [40, 2, 6, 5], filters: 3, kernel: [3, 3], padding: [2, 2, 2, 2], dilation: 2, form: 'shifts' },
  { x: [40, 2, 6, 5], filters: 2, kernel: [2, 2], padding: [0, 0, 1, 1], form: 'shifts' },
  { x: [40, 2, 6, 5], filters: 2, kernel: [2, 2], padding: [1, 1, 0, 0], form: 'shifts' },
  { x: [20, 2, 9, 7], filters: 2, kernel: [3, 3], stride: 2, padding: [1, 1, 1, 1], form: 'phaseShifts' },
  { x: [20, 2, 8, 10], filters: 2, kernel: [3, 3], stride: 2, padding: [1, 1, 1, 1], form: 'phaseShifts' },
  { x: [20, 3, 8, 6], filters: 2, kernel: [2, 2], stride: 2, form: 'phaseShifts' },
  { x: [40, 2, 8, 10], filters: 2, kernel: [5, 4], stride: 2, padding: [2, 1, 1, 1], form: 'phaseShifts' },
  { x: [2, 3, 36, 40], filters: 2, kernel: [7, 7], stride: 2, padding: [3, 3, 3, 3], form: 'phaseTaps' },
  { x: [2, 3, 40, 36], filters: 2, kernel: [4, 4], stride: 2, padding: [1, 1, 1, 1], form: 'phaseTaps' },
  { x: [2, 2, 37, 39], filters: 3, kernel: [5, 6], stride: 2, padding: [2, 2, 1, 2], form: 'phaseTaps' },
  { x: [2, 8, 4, 4], filters: 9, kernel: [3, 3], padding: [1, 1, 1, 1], form: 'columns' },
  { x: [2, 8, 7, 5], filters: 6, kernel: [3, 3], stride: 2, padding: [1, 1, 1, 1], form: 'columns' },
  { x: [2, 8, 9, 9], filters: 9, kernel: [3, 2], stride: 3, dilation: 2, padding: [1, 0, 2, 1], form: 'columns' },
  { x: [2, 8, 6, 6], filters: 24, kernel: [1, 1], stride: 2, form: 'columns' },
];

const random = (dims: readonly number[], seed: string): Tensor<'float32'> => {
  const rng = createRng(seed);
  return { dtype: 'float32', dims, data: Float32Array.from({ length: sizeOf(dims) }, () => rng.normal()) };
};

/** dw[k,c,tap] = sum over n and positions p of dy[n,k,p] x[n,c,p * stride + tap * dilation - padding], loop by loop in f64. */
function byLoops(x: Tensor, dy: Tensor, { kernel, strides, dilations, pads, groups }: ConvGeometry): Float64Array {
  const [n, k, ...out] = dy.dims as [number, number, ...number[]];
  const [, c, ...size] = x.dims as [number, number, ...number[]];
  const [taps, perGroup] = [sizeOf(kernel), c / groups];
  const dw = new Float64Array(k * perGroup * taps);
  const unravel = (flat: number, dims: readonly number[]): number[] =>
    dims.map((dim, i) => Math.floor(flat / sizeOf(dims.slice(i + 1))) % dim);
  for (let tap = 0; tap < taps; tap++) {
    const offsets = unravel(tap, kernel);
    for (let p = 0; p < sizeOf(out); p++) {
      const at = unravel(p, out).map((i, axis) => i * strides[axis]! + offsets[axis]! * dilations[axis]! - pads[axis]!);
      if (at.some((i, axis) => i < 0 || i >= size[axis]!)) continue;
      const from = at.reduce((flat, i, axis) => flat * size[axis]! + i, 0);
      for (let i = 0; i < n; i++)
        for (let f = 0; f < k; f++)
          for (let ch = 0; ch < perGroup; ch++) {
            const channel = Math.floor(f / (k / groups)) * perGroup + ch;
            dw[(f * perGroup + ch) * taps + tap]! +=
              Number(dy.data[(i * k + f) * sizeOf(out) + p]) * Number(x.data[(i * c + channel) * sizeOf(size) + from]);
          }
    }
  }
  return dw;
}

/** The filter's gradient in the form that is chosen and by loops, and which form that was. */
async function bothForms({ x, filters, kernel, groups = 1, stride = 1, dilation = 1, padding }: Case) {
  const graph = new Graph('forms');
  const input = graph.input('x', 'float32', x);
  const wDims = [filters, x[1]! / groups, ...kernel];
  const y = o.conv(input, graph.input('w', 'float32', wDims), undefined, {
    stride,
    dilation,
    groups,
    padding: padding ?? kernel.flatMap(() => [0, 0]),
  });
  const dy = graph.input('dy', 'float32', y.shape as readonly number[]);
  const geometry = convGeometry(graph.nodes.at(-1)!);
  const form = filterForm(dy, input, geometry);
  graph.output('dw', filterForms[form](dy, input, geometry));
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const feeds = { x: random(x, 'x'), w: random(wDims, 'w'), dy: random(dy.shape as readonly number[], 'dy') };
  const { dw } = await session.run(feeds);
  await session.release();
  return { form, dw: dw!, wDims, wanted: byLoops(feeds.x, feeds.dy, geometry) };
}

describe('the forms of the gradient of a filter', () => {
  for (const one of cases) {
    it(`${one.form}: x ${one.x}, ${one.filters} filters ${one.kernel}, stride ${one.stride ?? 1}, dilation ${one.dilation ?? 1}, padding ${one.padding ?? 0}`, async () => {
      const { form, dw, wDims, wanted } = await bothForms(one);
      expect(form).to.equal(one.form);
      expect(dw.dims).to.deep.equal(wDims);
      const largest = Math.max(...wanted.map(Math.abs));
      expect(largest).to.be.greaterThan(1);
      wanted.forEach((value, i) => {
        expect(Math.abs(Number(dw.data[i]) - value)).to.be.at.most(1e-5 * largest, `element ${i}`);
      });
    });
  }

  it('are all chosen by some shape', () => {
    expect(new Set(cases.map(({ form }) => form))).to.deep.equal(new Set(Object.keys(filterForms)));
  });
});
