import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { linalgOps } from '../ops/linalg.ts';
import { floatAttr, type GradTable, intAttr, type Product } from './define.ts';

/** The last two axes swapped. */
const swap = (x: Value): Value => {
  const rank = x.shape.length;
  return o.transpose(
    x,
    x.shape.map((_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i)),
  );
};

/** The gradient of b in a[...,M,K] b, b[K,N] shared by the batch: one product over all rows. */
function sharedGrad(dy: Value, a: Value): Product | undefined {
  if (![...a.shape, ...dy.shape].every((dim) => typeof dim === 'number')) return undefined;
  const rows = (x: Value): Value => o.reshape(x, [-1, x.shape.at(-1) as number]);
  return { left: rows(a), right: rows(dy), alpha: 1 };
}

export const linalgGrads: GradTable<keyof typeof linalgOps> = {
  MatMul: (dy, { inputs: [a, b], needs }) => [
    needs[0] ? o.matmul(dy, swap(b!)) : undefined,
    needs[1] ? ((b!.shape.length === 2 ? sharedGrad(dy, a!) : undefined) ?? o.matmul(swap(a!), dy)) : undefined,
  ],
  // y = alpha op(a) op(b) + beta c; the products below keep the transposes inside Gemm, where they are free.
  Gemm: (dy, { node, inputs: [a, b, c], needs }) => {
    const alpha = floatAttr(node, 'alpha');
    const transA = intAttr(node, 'transA') === 1;
    const transB = intAttr(node, 'transB') === 1;
    const da = () =>
      transA
        ? o.gemm(b!, dy, undefined, { alpha, transA: transB, transB: true })
        : o.gemm(dy, b!, undefined, { alpha, transB: !transB });
    const db = () => {
      if (!transA) return transB ? { left: dy, right: a!, alpha } : { left: a!, right: dy, alpha };
      return transB ? o.gemm(dy, a!, undefined, { alpha, transA, transB: true }) : o.gemm(a!, dy, undefined, { alpha });
    };
    const beta = floatAttr(node, 'beta');
    const dc = () => (beta === 1 ? dy : o.mul(dy, beta));
    return [
      needs[0] ? da() : undefined,
      needs[1] ? db() : undefined,
      ...(c === undefined ? [] : [needs[2] ? dc() : undefined]),
    ];
  },
};
