import { ensure } from '../core/errors.ts';
import { sameDim } from '../core/shape.ts';
import { type Attr, showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { Scope } from './scope.ts';

/** Source index of each of `to` places on an axis of `from`: floor(i from/to), PyTorch's `nearest`. */
const nearestIndices = (from: number, to: number): number[] =>
  Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor((i * from) / to)));

/** One axis of x at the size `to`. One pixel less is a cut at the end, one more repeats the first: both far cheaper than a gather. */
function resizeAxis(x: Value, axis: number, from: number, to: number): Value {
  if (from === to) return x;
  if (from === to + 1) return o.slice(x, { axes: [axis], starts: [0], ends: [to] });
  const before = axis === 2 ? ([1, 0, 0, 0] as const) : ([0, 1, 0, 0] as const);
  if (from + 1 === to) return o.pad2d(x, before, 'edge');
  const indices = nearestIndices(from, to);
  return o.gather(x, x.graph.constant('int32', [to], Int32Array.from(indices)), axis);
}

/**
 * {@link resizeLike} where sizes are known only when the graph runs, for inference: `Resize` to a computed shape, which no rule of a
 * gradient covers.
 */
function resizeAtRunTime(x: Value, like: Value): Value {
  const { graph } = x;
  const shapeOf = (value: Value): Value => graph.addNode('Shape', [value], [{ dtype: 'int64', shape: [4] }])[0]!;
  const part = (value: Value, start: number, end: number): Value =>
    o.slice(shapeOf(value), { axes: [0], starts: [start], ends: [end] });
  const sizes = o.concat([part(x, 0, 2), part(like, 2, 4)], 0);
  const shape = [...x.shape.slice(0, 2), ...like.shape.slice(2)];
  const word = (value: string): Attr => ({ kind: 'string', value });
  const attrs = {
    mode: word('nearest'),
    coordinate_transformation_mode: word('asymmetric'),
    nearest_mode: word('floor'),
  };
  return graph.addNode('Resize', [x, undefined, undefined, sizes], [{ dtype: x.dtype, shape }], attrs)[0]!;
}

/** x[N,C,H,W] -> [N,C,height and width of `like`], nearest neighbour (PyTorch's `interpolate`). Symbolic sizes only in inference. */
export function resizeLike(scope: Scope, x: Value, like: Value): Value {
  if ([2, 3].every((axis) => sameDim(x.shape[axis]!, like.shape[axis]!))) return x;
  const known = [x, like].every(({ shape }) => shape.slice(2).every((dim) => typeof dim === 'number'));
  if (known)
    return [2, 3].reduce((y, axis) => resizeAxis(y, axis, y.shape[axis] as number, like.shape[axis] as number), x);
  ensure(!scope.training, 'bad-shape', () => {
    return `resizeLike: expected known sizes in training, got ${showValue(x)} and ${showValue(like)}`;
  });
  return resizeAtRunTime(x, like);
}
