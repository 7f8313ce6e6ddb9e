import { normalAxis, type Shape } from '../core/shape.ts';
import { constantInts, defineOp, need } from './define.ts';

/** The shape after reducing `axes` (all of them when empty). */
function reducedShape(shape: Shape, axes: readonly number[], keepdims: boolean, where: string): Shape {
  const gone = new Set(
    axes.length === 0 ? shape.map((_, i) => i) : axes.map((axis) => normalAxis(axis, shape.length, where)),
  );
  return keepdims ? shape.map((dim, i) => (gone.has(i) ? 1 : dim)) : shape.filter((_, i) => !gone.has(i));
}

const reduce = defineOp(18, { keepdims: 'int' }, (inputs, { keepdims }, where) => {
  const x = need(inputs, 0, where);
  return [{ dtype: x.dtype, shape: reducedShape(x.shape, constantInts(inputs, 1, where), keepdims === 1, where) }];
});

/** Reductions; inputs x and constant int64 axes (the opset 18 form). */
export const reduceOps = {
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  Softmax: defineOp(13, { axis: 'int' }, (inputs, { axis }, where) => {
    const { dtype, shape } = need(inputs, 0, where);
    normalAxis(axis, shape.length, where);
    return [{ dtype, shape }];
  }),
};
