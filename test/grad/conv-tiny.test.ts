import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import { type Shape, symDim } from '../../training/core/shape.ts';
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { isTiny, type TinyGeometry, tinyConv } from '../../training/nn/conv-tiny.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';

const square = (stride: number, padding: number, dilation = 1): TinyGeometry => ({
  stride: [stride, stride],
  dilation: [dilation, dilation],
  padding: [padding, padding, padding, padding],
});

/** x[N,C,H,W], w[K,C,R,S] and the geometry between them. */
const cases: readonly (readonly [readonly number[], readonly number[], TinyGeometry])[] = [
  [[32, 6, 4, 4], [5, 6, 3, 3], square(1, 1)],
  [[32, 4, 7, 7], [6, 4, 3, 3], square(2, 1)],
  [[40, 3, 5, 3], [4, 3, 3, 2], { stride: [2, 1], dilation: [1, 2], padding: [1, 0, 2, 1] }],
  [[33, 8, 2, 2], [3, 8, 3, 3], square(2, 1)],
  [[32, 5, 4, 4], [7, 5, 1, 1], square(1, 0)],
];

const random = (dims: readonly number[], seed: string): Tensor<'float32'> => {
  const rng = createRng(seed);
  return { dtype: 'float32', dims, data: Float32Array.from({ length: sizeOf(dims) }, () => rng.normal()) };
};

type Form = (x: Value, w: Value, geometry: TinyGeometry) => Value;
const plain: Form = (x, w, { stride, dilation, padding }) => o.conv(x, w, undefined, { stride, dilation, padding });

/** The result and both gradients of sum(y * y). */
async function run(form: Form, [xDims, wDims, geometry]: (typeof cases)[number]): Promise<Tensor[]> {
  const graph = new Graph('tiny');
  const [x, w] = [graph.input('x', 'float32', xDims), graph.input('w', 'float32', wDims)];
  const y = form(x, w, geometry);
  const grads = backward(o.reduceSum(o.mul(y, y)), [x, w]);
  graph.output('y', y);
  graph.output('dx', grads.get(x)!);
  graph.output('dw', grads.get(w)!);
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const results = await session.run({ x: random(xDims, 'x'), w: random(wDims, 'w') });
  await session.release();
  return ['y', 'dx', 'dw'].map((name) => results[name]!);
}

describe('a convolution of tiny pictures as a matrix product', () => {
  for (const one of cases) {
    it(`x ${one[0]}, w ${one[1]}, ${JSON.stringify(one[2])}: result and gradients of Conv`, async () => {
      const [tiny, conv] = [await run(tinyConv, one), await run(plain, one)];
      tiny.forEach((tensor, i) => {
        expect(tensor.dims).to.deep.equal(conv[i]!.dims);
        const largest = Math.max(...Array.from(conv[i]!.data as Float32Array, Math.abs));
        expect(largest).to.be.greaterThan(0.1);
        tensor.data.forEach((value, k) => {
          expect(Math.abs(Number(value) - Number(conv[i]!.data[k]))).to.be.at.most(1e-5 * largest);
        });
      });
    });
  }

  it('is for full batches of small pictures without groups', () => {
    const graph = new Graph('which');
    let count = 0;
    const input = (dims: Shape): Value => graph.input(`i${count++}`, 'float32', dims);
    const tiny = (x: Shape, w: readonly number[], stride = 1): boolean => isTiny(input(x), input(w), square(stride, 1));
    expect(tiny([128, 32, 4, 4], [32, 32, 3, 3])).to.equal(true);
    expect(tiny([128, 16, 7, 7], [32, 16, 3, 3], 2)).to.equal(true);
    expect(tiny([8, 32, 4, 4], [32, 32, 3, 3])).to.equal(false);
    expect(tiny([128, 32, 4, 4], [32, 1, 3, 3])).to.equal(false);
    expect(tiny([128, 512, 4, 4], [512, 512, 3, 3])).to.equal(false);
    expect(tiny([128, 16, 14, 14], [16, 16, 3, 3])).to.equal(false);
    expect(tiny([symDim('N'), 32, 4, 4], [32, 32, 3, 3])).to.equal(false);
  });
});
