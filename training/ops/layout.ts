import { ensure } from '../core/errors.ts';
import { addDim, broadcastShapes, normalAxis, type Shape, sameDim, showShape, staticShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import { constantInts, defineOp, need, needSameDtype } from './define.ts';

/** Elements that a slice takes from an axis of `size`; ONNX's clamping rules. */
function sliceLength(size: number, start: number, end: number, step: number): number {
  const at = (i: number, low: number, high: number): number => Math.min(Math.max(i < 0 ? i + size : i, low), high);
  const [from, to] =
    step > 0
      ? [at(start, 0, size), at(end, 0, size)]
      : [at(start, 0, size - 1), end < -size ? -1 : at(end, -1, size - 1)];
  return Math.max(0, Math.ceil((to - from) / step));
}

function concatShape(values: readonly Value[], axis: number, where: string): Shape {
  const first = values[0]!;
  for (const other of values) {
    const fits =
      other.shape.length === first.shape.length &&
      other.shape.every((dim, i) => i === axis || sameDim(dim, first.shape[i]!));
    ensure(
      fits,
      'bad-shape',
      () => `${where}: expected equal shapes but for axis ${axis}, got ${showValue(first)} and ${showValue(other)}`,
    );
    needSameDtype(first, other, where);
  }
  const total = values.reduce((sum, value) => sum + staticShape([value.shape[axis]!], where)[0]!, 0);
  return first.shape.map((dim, i) => (i === axis ? total : dim));
}

/** Operators that move or select elements. Shapes, axes and pads are constant int64 inputs. */
export const layoutOps = {
  Reshape: defineOp(14, { allowzero: 'int' }, (inputs, _attrs, where) => {
    const x = need(inputs, 0, where);
    const dims = constantInts(inputs, 1, where);
    // 0 keeps the dimension at that place, also one that is no number yet.
    const changed = staticShape(
      x.shape.filter((_, i) => dims[i] !== 0),
      where,
    );
    ensure(
      dims.lastIndexOf(0) < x.shape.length && sizeOf(changed) === sizeOf(dims.filter((dim) => dim !== 0)),
      'bad-shape',
      () => `${where}: expected as many elements as ${showValue(x)}, got ${showShape(dims)}`,
    );
    return [{ dtype: x.dtype, shape: dims.map((dim, i) => (dim === 0 ? x.shape[i]! : dim)) }];
  }),
  Transpose: defineOp(13, { perm: 'ints' }, (inputs, { perm }, where) => {
    const x = need(inputs, 0, where);
    ensure(
      perm.length === x.shape.length && new Set(perm).size === perm.length,
      'bad-argument',
      () => `${where}: expected a permutation of ${x.shape.length} axes, got [${perm}]`,
    );
    return [{ dtype: x.dtype, shape: perm.map((axis) => x.shape[normalAxis(axis, perm.length, where)]!) }];
  }),
  Concat: defineOp(13, { axis: 'int' }, (inputs, { axis }, where) => {
    const values = inputs.map((_, i) => need(inputs, i, where));
    ensure(values.length > 0, 'bad-argument', () => `${where}: expected at least one input, got none`);
    return [
      { dtype: values[0]!.dtype, shape: concatShape(values, normalAxis(axis, values[0]!.shape.length, where), where) },
    ];
  }),
  /** inputs x, starts, ends, axes, steps. */
  Slice: defineOp(13, {}, (inputs, _attrs, where) => {
    const x = need(inputs, 0, where);
    const [starts, ends, axes, steps] = [1, 2, 3, 4].map((i) => constantInts(inputs, i, where));
    const shape = [...x.shape];
    axes!.forEach((axis, i) => {
      const [size] = staticShape([shape[normalAxis(axis, shape.length, where)]!], where);
      shape[normalAxis(axis, shape.length, where)] = sliceLength(size!, starts![i]!, ends![i]!, steps![i]!);
    });
    return [{ dtype: x.dtype, shape }];
  }),
  /** inputs x, pads (starts of all axes, then ends), value? (constant mode). Negative pads crop. */
  Pad: defineOp(13, { mode: 'string' }, (inputs, { mode }, where) => {
    const x = need(inputs, 0, where);
    const pads = constantInts(inputs, 1, where);
    const rank = x.shape.length;
    ensure(
      pads.length === 2 * rank,
      'bad-argument',
      () => `${where}: expected ${2 * rank} pads for ${showValue(x)}, got [${pads}]`,
    );
    const shape = x.shape.map((dim, i) => addDim(dim, pads[i]! + pads[rank + i]!));
    ensure(
      mode !== 'reflect' ||
        x.shape.every((dim, i) => typeof dim !== 'number' || Math.max(pads[i]!, pads[rank + i]!) < dim || dim === 0),
      'bad-shape',
      () => {
        return `${where}: expected reflection pads below each size, got [${pads}] for ${showValue(x)}`;
      },
    );
    return [{ dtype: x.dtype, shape }];
  }),
  /** inputs x, split (one size per output): pieces of one axis. At most 11 outputs run on WebGPU. */
  Split: defineOp(18, { axis: 'int' }, (inputs, { axis }, where) => {
    const x = need(inputs, 0, where);
    const sizes = constantInts(inputs, 1, where);
    const at = normalAxis(axis, x.shape.length, where);
    const [length] = staticShape([x.shape[at]!], where);
    ensure(
      sizes.length > 0 && sizes.reduce((sum, size) => sum + size, 0) === length,
      'bad-shape',
      () => `${where}: expected sizes that add up to axis ${at} of ${showValue(x)}, got [${sizes}]`,
    );
    return sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((dim, i) => (i === at ? size : dim)) }));
  }),
  /** inputs x, axes: takes away axes of size 1. */
  Squeeze: defineOp(13, {}, (inputs, _attrs, where) => {
    const x = need(inputs, 0, where);
    const gone = constantInts(inputs, 1, where).map((axis) => normalAxis(axis, x.shape.length, where));
    ensure(
      gone.every((axis) => x.shape[axis] === 1),
      'bad-shape',
      () => `${where}: expected size 1 on axes [${gone}], got ${showValue(x)}`,
    );
    return [{ dtype: x.dtype, shape: x.shape.filter((_, i) => !gone.includes(i)) }];
  }),
  /** inputs x, axes (of the result): puts in axes of size 1. */
  Unsqueeze: defineOp(13, {}, (inputs, _attrs, where) => {
    const x = need(inputs, 0, where);
    const axes = constantInts(inputs, 1, where);
    const rank = x.shape.length + axes.length;
    const shape = [...x.shape];
    for (const axis of axes.map((one) => normalAxis(one, rank, where)).sort((a, b) => a - b)) shape.splice(axis, 0, 1);
    return [{ dtype: x.dtype, shape }];
  }),
  /** inputs x, shape: x broadcast to it. */
  Expand: defineOp(13, {}, (inputs, _attrs, where) => {
    const x = need(inputs, 0, where);
    return [{ dtype: x.dtype, shape: broadcastShapes(x.shape, constantInts(inputs, 1, where), where) }];
  }),
  /** inputs start, limit, delta: scalars, constant. -> [ceil((limit-start)/delta)]. */
  Range: defineOp(11, {}, (inputs, _attrs, where) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => Number(need(inputs, i, where).constant?.data[0]));
    return [{ dtype: need(inputs, 0, where).dtype, shape: [Math.max(0, Math.ceil((limit! - start!) / delta!))] }];
  }),
};
