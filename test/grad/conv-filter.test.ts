import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { convGeometry } from '../../training/grad/conv.ts';
import { filterForm, filterForms } from '../../training/grad/conv-filter.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';

/** A convolution: x[N,C,H,W], filters, kernel, and the rest; `form` is the form that its shapes ask for. */
interface Case {
  readonly x: readonly [number, number, number, number];
  readonly filters: number;
  readonly kernel: readonly [number, number];
  readonly stride?: number;
  readonly dilation?: number;
  readonly padding?: readonly number[];
  readonly form: keyof typeof filterForms;
}

const cases: readonly Case[] = [
  { x: [2, 3, 20, 18], filters: 2, kernel: [3, 3], padding: [1, 1, 1, 1], form: 'taps' },
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

/** The filter's gradient in the form that is chosen and by taps, and which form that was. */
async function bothForms({ x, filters, kernel, stride = 1, dilation = 1, padding = [0, 0, 0, 0] }: Case) {
  const graph = new Graph('forms');
  const input = graph.input('x', 'float32', x);
  const w = graph.input('w', 'float32', [filters, x[1], ...kernel]);
  const y = o.conv(input, w, undefined, { stride, dilation, padding });
  const dy = graph.input('dy', 'float32', y.shape as readonly number[]);
  const geometry = convGeometry(graph.nodes.at(-1)!);
  const form = filterForm(dy, input, geometry);
  graph.output('chosen', filterForms[form](dy, input, geometry));
  graph.output('taps', filterForms.taps(dy, input, geometry));
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const { chosen, taps } = await session.run({
    x: random(x, 'x'),
    w: random([filters, x[1], ...kernel], 'w'),
    dy: random(dy.shape as readonly number[], 'dy'),
  });
  await session.release();
  return { form, chosen: chosen!, taps: taps! };
}

describe('the forms of the gradient of a filter', () => {
  for (const one of cases) {
    it(`${one.form}: x ${one.x}, ${one.filters} filters ${one.kernel}, stride ${one.stride ?? 1}, dilation ${one.dilation ?? 1}, padding ${one.padding ?? 0}`, async () => {
      const { form, chosen, taps } = await bothForms(one);
      expect(form).to.equal(one.form);
      expect(chosen.dims).to.deep.equal(taps.dims);
      const largest = Math.max(...Array.from(taps.data as Float32Array, Math.abs));
      expect(largest).to.be.greaterThan(1);
      chosen.data.forEach((value, i) => {
        expect(Math.abs(Number(value) - Number(taps.data[i]))).to.be.at.most(1e-5 * largest, `element ${i}`);
      });
    });
  }

  it('are all chosen by some shape', () => {
    expect(new Set(cases.map(({ form }) => form))).to.deep.equal(new Set(Object.keys(filterForms)));
  });
});
