import { staticShape } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { layoutOps } from '../ops/layout.ts';
import { type GradTable, intAttr, intsAttr, intsOf, stringAttr } from './define.ts';

const zeros = (rank: number): number[] => Array.from({ length: rank }, () => 0);

/** Puts `x` back at `start`, every `step`-th place, on an axis of `size` that is zero elsewhere. */
export function placeOnAxis(x: Value, axis: number, size: number, start: number, step: number): Value {
  const rank = x.shape.length;
  const dims = staticShape(x.shape, 'placeOnAxis');
  const length = dims[axis]!;
  let spaced = x;
  if (step > 1) {
    const split = [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)];
    const pads = zeros(2 * (rank + 1));
    pads[rank + 1 + axis + 1] = step - 1;
    spaced = o.reshape(
      o.pad(o.reshape(x, split), pads),
      dims.map((dim, i) => (i === axis ? dim * step : dim)),
    );
  }
  const pads = zeros(2 * rank);
  pads[axis] = start;
  pads[rank + axis] = size - start - length * step;
  return o.pad(spaced, pads);
}

/** Elements start..end of one axis. */
const part = (x: Value, axis: number, start: number, end: number): Value =>
  o.slice(x, { axes: [axis], starts: [start], ends: [end] });

/** The gradient that flows from mirrored or repeated border elements back onto the axis they came from. */
function foldBorder(dy: Value, axis: number, before: number, after: number, size: number, mode: string): Value {
  const middle = part(dy, axis, before, before + size);
  const fold = (border: Value, start: number): Value => {
    const value = mode === 'reflect' ? o.flip(border, [axis]) : o.reduceSum(border, { axes: [axis], keepdims: true });
    return placeOnAxis(value, axis, size, start, 1);
  };
  const first = before > 0 ? o.add(middle, fold(part(dy, axis, 0, before), mode === 'reflect' ? 1 : 0)) : middle;
  if (after <= 0) return first;
  return o.add(
    first,
    fold(part(dy, axis, before + size, before + size + after), mode === 'reflect' ? size - 1 - after : size - 1),
  );
}

function padGrad(dy: Value, x: Value, pads: readonly number[], mode: string): Value {
  const rank = x.shape.length;
  if (mode === 'constant')
    return o.pad(
      dy,
      pads.map((amount) => -amount),
    );
  return x.shape.reduce<Value>((grad, dim, axis) => {
    const [before, after] = [pads[axis]!, pads[rank + axis]!];
    return before === 0 && after === 0 ? grad : foldBorder(grad, axis, before, after, dim as number, mode);
  }, dy);
}

function sliceGrad(dy: Value, [x, starts, , axes, steps]: readonly Value[]): Value {
  const [from, over, by] = [intsOf(starts!), intsOf(axes!), intsOf(steps!)];
  return over.reduce<Value>((grad, axis, i) => {
    const size = x!.shape[axis] as number;
    const step = by[i]!;
    const first = Math.min(Math.max(from[i]! < 0 ? from[i]! + size : from[i]!, 0), size - 1);
    if (step > 0) return placeOnAxis(grad, axis, size, first, step);
    const length = grad.shape[axis] as number;
    return placeOnAxis(o.flip(grad, [axis]), axis, size, first + (length - 1) * step, -step);
  }, dy);
}

/** One slice of dy per concatenated input. */
function concatGrad(
  dy: Value,
  inputs: readonly Value[],
  axis: number,
  needs: readonly boolean[],
): (Value | undefined)[] {
  let start = 0;
  return inputs.map((input, i) => {
    const from = start;
    start += input.shape[axis] as number;
    return needs[i] ? part(dy, axis, from, start) : undefined;
  });
}

export const layoutGrads: GradTable<keyof typeof layoutOps> = {
  Reshape: (dy, { inputs: [x] }) => [o.reshape(dy, staticShape(x!.shape, 'Reshape gradient')), undefined],
  Transpose: (dy, { node }) => {
    const perm = intsAttr(node, 'perm');
    return [
      o.transpose(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
  Concat: (dy, { node, inputs, needs }) => concatGrad(dy, inputs, intAttr(node, 'axis'), needs),
  Slice: (dy, { inputs }) => [sliceGrad(dy, inputs), undefined, undefined, undefined, undefined],
  Pad: (dy, { node, inputs: [x, pads] }) => [padGrad(dy, x!, intsOf(pads!), stringAttr(node, 'mode')), undefined],
  // A piece that nobody used has no gradient: zeros in its place.
  Split: (_dy, { node, dys }) => [
    o.concat(
      node.outputs.map(
        (piece, i) => dys[i] ?? o.expand(piece.graph.scalar(0), staticShape(piece.shape, 'Split gradient')),
      ),
      intAttr(node, 'axis'),
    ),
    undefined,
  ],
  Squeeze: (dy, { inputs: [, axes] }) => [o.unsqueeze(dy, intsOf(axes!)), undefined],
  Unsqueeze: (dy, { inputs: [, axes] }) => [o.squeeze(dy, intsOf(axes!)), undefined],
  // `backward` sums over the axes that were broadcast.
  Expand: (dy) => [dy, undefined],
  Range: 'none',
};
