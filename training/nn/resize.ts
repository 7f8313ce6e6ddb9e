import { ensure } from '../core/errors.ts';
import { sameDim } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

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

/** x[N,C,H,W] -> [N,C,height and width of `like`], nearest neighbour (PyTorch's `interpolate`). */
export function resizeLike(x: Value, like: Value): Value {
  if ([2, 3].every((axis) => sameDim(x.shape[axis]!, like.shape[axis]!))) return x;
  return [2, 3].reduce((y, axis) => {
    const [from, to] = [y.shape[axis]!, like.shape[axis]!];
    ensure(typeof from === 'number' && typeof to === 'number', 'bad-shape', () => {
      return `resizeLike: expected known sizes, got ${showValue(x)} and ${showValue(like)}`;
    });
    return resizeAxis(y, axis, from, to);
  }, x);
}
