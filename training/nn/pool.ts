import { ensure } from '../core/errors.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

export { averagePool, maxPool } from '../ops/build.ts';

/** Window i of `out` over an axis of `size`: floor(i size/out) up to ceil((i+1) size/out), PyTorch's rule. */
const windows = (size: number, out: number): (readonly [number, number])[] =>
  Array.from({ length: out }, (_, i) => [Math.floor((i * size) / out), Math.ceil(((i + 1) * size) / out)]);

const target = (size: number | readonly number[], rank: number): readonly number[] =>
  typeof size === 'number' ? Array.from({ length: rank }, () => size) : size;

/** The spatial sizes of x[N,C,...] and what they become, checked. */
function sizesOf(
  x: Value,
  size: number | readonly number[],
  where: string,
): { from: readonly number[]; to: readonly number[] } {
  const from = staticShape(x.shape.slice(2), where);
  const to = target(size, from.length);
  ensure(
    to.length === from.length && to.every((n) => Number.isInteger(n) && n >= 1),
    'bad-argument',
    () => `${where}: expected a whole size per spatial axis of ${showValue(x)}, got [${to}]`,
  );
  return { from, to };
}

/** Mean over all positions: x[N,C,...] -> [N,C,1,...]; the only pooling that also takes symbolic sizes. */
export const globalAveragePool = (x: Value): Value =>
  o.reduceMean(x, { axes: x.shape.map((_, i) => i).slice(2), keepdims: true });

/** Maximum over all positions: x[N,C,...] -> [N,C,1,...]. */
export const globalMaxPool = (x: Value): Value =>
  o.reduceMax(x, { axes: x.shape.map((_, i) => i).slice(2), keepdims: true });

/** x times the matrix [size,out] whose column i averages window i. Axes 2 and 3 only. */
function averageAlong(x: Value, axis: number, size: number, out: number): Value {
  if (size === out) return x;
  const matrix = new Float32Array(out * size);
  windows(size, out).forEach(([start, end], i) => {
    matrix.fill(1 / (end - start), i * size + start, i * size + end);
  });
  const rows = x.graph.constant('float32', [out, size], matrix);
  return axis === x.shape.length - 1 ? o.matmul(x, o.transpose(rows, [1, 0])) : o.matmul(rows, x);
}

/**
 * Average over windows of nearly equal length: x[N,C,H,W] -> [N,C,...size] (or [N,C,L] -> [N,C,size]), any size, larger
 * ones than the input too; 1 by default. Static shapes, but for size 1. PyTorch's AdaptiveAvgPool2d.
 */
export function adaptiveAveragePool(x: Value, size: number | readonly number[] = 1): Value {
  if (target(size, x.shape.length - 2).every((n) => n === 1)) return globalAveragePool(x);
  const { from, to } = sizesOf(x, size, 'adaptiveAveragePool');
  const kernel = from.map((length, i) => length / to[i]!);
  if (kernel.every(Number.isInteger)) return o.averagePool(x, { kernel });
  return from.reduce((y, length, i) => averageAlong(y, i + 2, length, to[i]!), x);
}

/** The maximum of each window of one axis. */
function maxAlong(x: Value, axis: number, size: number, out: number): Value {
  if (size === out) return x;
  const maxima = windows(size, out).map(([start, end]) =>
    o.reduceMax(o.slice(x, { axes: [axis], starts: [start], ends: [end] }), { axes: [axis], keepdims: true }),
  );
  return o.concat(maxima, axis);
}

/**
 * Maximum over windows of nearly equal length: x[N,C,H,W] -> [N,C,...size], any size, 1 by default. Static shapes, but for
 * size 1. Where the windows differ in length, equal maxima of a window share its gradient (PyTorch gives it to the first).
 */
export function adaptiveMaxPool(x: Value, size: number | readonly number[] = 1): Value {
  if (target(size, x.shape.length - 2).every((n) => n === 1)) return globalMaxPool(x);
  const { from, to } = sizesOf(x, size, 'adaptiveMaxPool');
  const kernel = from.map((length, i) => length / to[i]!);
  if (kernel.every(Number.isInteger)) return o.maxPool(x, { kernel });
  return from.reduce((y, length, i) => maxAlong(y, i + 2, length, to[i]!), x);
}

/** fastai's AdaptiveConcatPool: maxima, then means, x[N,C,...] -> [N,2C,...size]; size 1 by default. */
export const adaptiveConcatPool = (x: Value, size: number | readonly number[] = 1): Value =>
  o.concat([adaptiveMaxPool(x, size), adaptiveAveragePool(x, size)], 1);
