import { ensure } from '../core/errors.ts';
import { broadcastShapes, type Shape, sameDim } from '../core/shape.ts';
import { showValue } from '../onnx/graph.ts';
import { defineOp, need, needRank, needSameDtype } from './define.ts';

const matrix = (shape: Shape, transpose: number): Shape => (transpose === 1 ? [shape[1]!, shape[0]!] : shape);

export const linalgOps = {
  /** a[...,M,K] x b[...,K,N] -> [...,M,N]; leading axes broadcast. */
  MatMul: defineOp(13, {}, (inputs, _attrs, where) => {
    const [a, b] = [need(inputs, 0, where), need(inputs, 1, where)];
    needSameDtype(a, b, where);
    const fits = a.shape.length >= 2 && b.shape.length >= 2 && sameDim(a.shape.at(-1)!, b.shape.at(-2)!);
    ensure(
      fits,
      'bad-shape',
      () => `${where}: expected [...,M,K] x [...,K,N], got ${showValue(a)} and ${showValue(b)}`,
    );
    const lead = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), where);
    return [{ dtype: a.dtype, shape: [...lead, a.shape.at(-2)!, b.shape.at(-1)!] }];
  }),
  /** alpha * a' b' + beta * c, matrices; c broadcasts. */
  Gemm: defineOp(
    13,
    { alpha: 'float', beta: 'float', transA: 'int', transB: 'int' },
    (inputs, { transA, transB }, where) => {
      const [a, b] = [need(inputs, 0, where), need(inputs, 1, where)];
      needRank(a, 2, where);
      needRank(b, 2, where);
      const [m, k] = matrix(a.shape, transA);
      const [k2, n] = matrix(b.shape, transB);
      ensure(
        sameDim(k!, k2!),
        'bad-shape',
        () =>
          `${where}: expected inner dimensions to match, got ${showValue(a)} (transA ${transA}) and ${showValue(b)} (transB ${transB})`,
      );
      return [{ dtype: a.dtype, shape: [m!, n!] }];
    },
  ),
};
