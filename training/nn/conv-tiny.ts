import { staticShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

/*
 * On pictures of a few pixels a convolution is a matrix product in disguise: most taps of most positions fall outside or meet each
 * other, and ONNX Runtime's Conv, which goes through the batch picture by picture, spends its time on the way. There the filter is spread out
 * to a matrix from all inputs to all outputs, and forward and both gradients are one product each.
 */

/** Geometry of a convolution over two axes. */
export interface TinyGeometry {
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  /** Starts, then ends. */
  readonly padding: readonly number[];
}

/** Most elements of the spread-out filter; a product with more takes longer than the convolution. */
const mostWeights = 2 ** 19;
/** Most positions in a result, and fewest pictures in a batch, for which the product wins. */
const mostPositions = 16;
const fewestPictures = 32;

const outSize = (size: number, kernel: number, axis: number, { stride, dilation, padding }: TinyGeometry): number =>
  Math.floor((size + padding[axis]! + padding[axis + 2]! - (kernel - 1) * dilation[axis]! - 1) / stride[axis]!) + 1;

/** Whether a convolution of x[N,C,H,W] with w[K,C,R,S] is faster as a matrix product (measured: `scripts/bench/conv-forms`). */
export function isTiny(x: Value, w: Value, geometry: TinyGeometry): boolean {
  if (x.shape.length !== 4 || x.shape.some((dim) => typeof dim !== 'number')) return false;
  const [n, c, ...size] = staticShape(x.shape, 'conv2d');
  const [k, perGroup, ...kernel] = staticShape(w.shape, 'conv2d');
  const positions = sizeOf(size.map((length, axis) => outSize(length, kernel[axis]!, axis, geometry)));
  return (
    c === perGroup &&
    n! >= fewestPictures &&
    positions <= mostPositions &&
    c! * sizeOf(size) * k! * positions <= mostWeights
  );
}

/** Which input each tap meets for each output, 1 where it does: [R*S,H*W*H'*W']. */
function meetings(
  [h, w]: readonly [number, number],
  [r, s]: readonly [number, number],
  [outH, outW]: readonly [number, number],
  { stride, dilation, padding }: TinyGeometry,
): Float32Array {
  const met = new Float32Array(r * s * h * w * outH * outW);
  const at = (out: number, tap: number, axis: number): number =>
    out * stride[axis]! + tap * dilation[axis]! - padding[axis]!;
  for (let tap = 0; tap < r * s; tap++) {
    for (let out = 0; out < outH * outW; out++) {
      const [y, x] = [at(Math.floor(out / outW), Math.floor(tap / s), 0), at(out % outW, tap % s, 1)];
      if (y >= 0 && y < h && x >= 0 && x < w) met[(tap * h * w + y * w + x) * outH * outW + out] = 1;
    }
  }
  return met;
}

/** x[N,C,H,W], w[K,C,R,S] -> [N,K,H',W'], equal to `Conv`, by one product with the spread-out filter [C*H*W,K*H'*W']. */
export function tinyConv(x: Value, w: Value, geometry: TinyGeometry): Value {
  const [n, c, height, width] = staticShape(x.shape, 'conv2d') as [number, number, number, number];
  const [k, , r, s] = staticShape(w.shape, 'conv2d') as [number, number, number, number];
  const [outH, outW] = [outSize(height, r, 0, geometry), outSize(width, s, 1, geometry)];
  const [inputs, outputs] = [height * width, outH * outW];
  const met = meetings([height, width], [r, s], [outH, outW], geometry);
  const spread = o.matmul(o.reshape(w, [k * c, r * s]), x.graph.constant('float32', [r * s, inputs * outputs], met));
  const filter = o.transpose(o.reshape(spread, [k, c * inputs, outputs]), [1, 0, 2]);
  const y = o.matmul(o.reshape(x, [n, c * inputs]), o.reshape(filter, [c * inputs, k * outputs]));
  return o.reshape(y, [n, k, outH, outW]);
}
