import { staticShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { indexingOps } from '../ops/indexing.ts';
import { type GradTable, intAttr } from './define.ts';

/**
 * Up to this many rows the gradient of a table is a product with a one-hot matrix, beyond it a scatter. The product reads
 * rows x indices numbers and adds in a fixed order on every device; the scatter does work in proportion to the indices alone.
 */
export const oneHotRows = 128;

/** [n,D] added into a zero table [rows,D] at `indices` (n of them). */
function addRows(dy: Value, indices: Value, rows: number): Value {
  const { graph } = dy;
  const [n, width] = dy.shape as readonly number[];
  const column = o.reshape(indices, [n!, 1]);
  if (rows <= oneHotRows) {
    const hot = o.equal(o.cast(column, 'int32'), o.reshape(o.arange(graph, rows), [1, rows]));
    return o.gemm(o.cast(hot, 'float32'), dy, undefined, { transA: true });
  }
  // ScatterElements, not ScatterND: on several CPU threads the latter loses additions where indices repeat.
  return o.scatterAdd(o.expand(graph.scalar(0), [rows, width!]), o.expand(column, [n!, width!]), dy);
}

function gatherGrad(dy: Value, x: Value, indices: Value, axis: number): Value {
  const dims = staticShape(x.shape, 'Gather gradient');
  const picked = staticShape(indices.shape, 'Gather gradient');
  const rest = dims.filter((_, i) => i !== axis);
  // The axes of the indices first, then x's other axes in order.
  const from = picked.map((_, i) => axis + i);
  const others = dy.shape.map((_, i) => i).filter((i) => !from.includes(i));
  const rows = o.reshape(o.transpose(dy, [...from, ...others]), [sizeOf(picked), sizeOf(rest)]);
  const table = o.reshape(addRows(rows, indices, dims[axis]!), [dims[axis]!, ...rest]);
  return o.transpose(
    table,
    dims.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i)),
  );
}

export const indexingGrads: GradTable<keyof typeof indexingOps> = {
  Gather: (dy, { node, inputs: [x, indices] }) => [gatherGrad(dy, x!, indices!, intAttr(node, 'axis')), undefined],
  GatherElements: (dy, { node, inputs: [x, indices] }) => {
    const zeros = o.expand(dy.graph.scalar(0), staticShape(x!.shape, 'GatherElements gradient'));
    return [o.scatterAdd(zeros, indices!, dy, intAttr(node, 'axis')), undefined];
  },
  // The builder emits the adding form only: what was there passes, what was added is picked up again.
  ScatterElements: (dy, { node, inputs: [, indices], needs }) => [
    dy,
    undefined,
    needs[2] ? o.gatherElements(dy, indices!, intAttr(node, 'axis')) : undefined,
  ],
};
