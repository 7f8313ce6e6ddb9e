import { ensure } from '../core/errors.ts';
import { normalAxis, sameShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import { defineOp, need, needSameDtype } from './define.ts';

function needIndices(indices: Value, where: string): void {
  ensure(
    indices.dtype === 'int32' || indices.dtype === 'int64',
    'bad-dtype',
    () => `${where}: expected int32 or int64 indices, got ${showValue(indices)}; cast them`,
  );
}

/** x and indices of one rank. */
function needSameRank(x: Value, indices: Value, where: string): void {
  needIndices(indices, where);
  ensure(
    x.shape.length === indices.shape.length,
    'bad-shape',
    () => `${where}: expected indices of the rank of ${showValue(x)}, got ${showValue(indices)}`,
  );
}

/** Operators that pick or place elements at indices known only when the graph runs. */
export const indexingOps = {
  /** inputs x, indices: the slices of x along `axis` at each index; x's axis is replaced by the shape of indices. */
  Gather: defineOp(13, { axis: 'int' }, (inputs, { axis }, where) => {
    const [x, indices] = [need(inputs, 0, where), need(inputs, 1, where)];
    needIndices(indices, where);
    const at = normalAxis(axis, x.shape.length, where);
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)] }];
  }),
  /** inputs x, indices of x's rank: y[i][j] = x[indices[i][j]][j] for axis 0, and so on. */
  GatherElements: defineOp(13, { axis: 'int' }, (inputs, { axis }, where) => {
    const [x, indices] = [need(inputs, 0, where), need(inputs, 1, where)];
    needSameRank(x, indices, where);
    normalAxis(axis, x.shape.length, where);
    return [{ dtype: x.dtype, shape: indices.shape }];
  }),
  /** inputs x, indices, updates (of one shape): x with the updates put (reduction none) or added (add) at the indices. */
  ScatterElements: defineOp(16, { axis: 'int', reduction: 'string' }, (inputs, { axis }, where) => {
    const [x, indices, updates] = [need(inputs, 0, where), need(inputs, 1, where), need(inputs, 2, where)];
    needSameRank(x, indices, where);
    needSameDtype(x, updates, where);
    normalAxis(axis, x.shape.length, where);
    ensure(
      sameShape(indices.shape, updates.shape),
      'bad-shape',
      () => `${where}: expected an update per index, got ${showValue(indices)} and ${showValue(updates)}`,
    );
    return [{ dtype: x.dtype, shape: x.shape }];
  }),
};
