import { staticShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { type ConvGeometry, columnsOf, pictures, reversedFilter, rowsOf } from '../ops/conv-parts.ts';

/*
 * Where the filter is large and the pictures are small, deep in a classifier, ONNX Runtime's Conv multiplies by a large filter once for
 * each picture. One product over the columns of all pictures reads the filter once, and the columns serve its gradient too.
 */

/** Most positions of a picture for which the columns are worth their copies. */
const mostPositions = 64;

/** Whether a convolution of x[N,C,H,W] with w[K,C,R,S] is faster as one product (measured: `scripts/bench/conv-forms`). */
export function isDeep(x: Value, w: Value, { kernel, strides, dilations, pads, groups }: ConvGeometry): boolean {
  if (x.shape.length !== 4 || groups !== 1 || x.shape.some((dim) => typeof dim !== 'number')) return false;
  const [n, , ...size] = staticShape(x.shape, 'conv2d');
  const filters = w.shape[0] as number;
  const keepsSize = kernel.every((extent, i) => dilations[i]! * (extent - 1) === pads[i]! + pads[i + 2]!);
  return (
    keepsSize &&
    sizeOf(kernel) > 1 &&
    strides.every((stride) => stride === 1) &&
    sizeOf(size) <= mostPositions &&
    4 * filters * sizeOf(kernel) >= n! * sizeOf(size)
  );
}

/** x[N,C,H,W], w[K,C,R,S] -> [N,K,H,W], equal to `Conv` of stride 1 that keeps the size. */
export function deepConv(x: Value, w: Value, geometry: ConvGeometry): Value {
  const [n, c, ...size] = staticShape(x.shape, 'conv2d') as [number, number, number, number];
  const k = w.shape[0] as number;
  const taps = sizeOf(geometry.kernel);
  const opposite = geometry.kernel.flatMap((extent, i) => geometry.dilations[i]! * (extent - 1));
  const pads = geometry.pads.map((amount, i) => opposite[i % 2]! - amount);
  const compute = (): Value[] => {
    const columns = columnsOf(x, size, geometry);
    return [pictures(o.matmul(o.reshape(w, [k, c * taps]), columns), n, size), columns];
  };
  const [y, columns] = x.graph.region([x, w], compute, ([dy], needs) => {
    const back = (): Value => {
      const filter = o.reshape(reversedFilter(w, 1), [c, k * taps]);
      return pictures(o.matmul(filter, columnsOf(dy!, size, { ...geometry, pads })), n, size);
    };
    const dw = (): Value => o.matmul(rowsOf(dy!), o.transpose(columns, [1, 0]));
    return [needs[0] ? back() : undefined, needs[1] ? o.reshape(dw(), [k, c, ...geometry.kernel]) : undefined];
  }) as [Value, Value];
  return y;
}
