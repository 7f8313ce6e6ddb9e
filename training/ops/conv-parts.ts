import { staticShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from './build.ts';

/*
 * What convolutions and their gradients are made of where they are made of other operators: taps, columns (im2col), reversed filters.
 */

/** Geometry of a convolution, all static. */
export interface ConvGeometry {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** All starts, then all ends. */
  readonly pads: readonly number[];
  readonly groups: number;
}

/** The static sizes of a value. */
export const dimsOf = (value: Value): readonly number[] => staticShape(value.shape, 'convolution');
/** The axes behind batch and channels. */
export const spatialAxes = (rank: number): number[] => Array.from({ length: rank }, (_, i) => i + 2);
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Offsets of every tap of the kernel, row-major. */
export const taps = (kernel: readonly number[]): number[][] =>
  kernel.reduce<number[][]>((all, size) => all.flatMap((head) => range(size).map((i) => [...head, i])), [[]]);

/** x with the zeros around it that the convolution sees. */
export function padded(x: Value, pads: readonly number[]): Value {
  const rank = pads.length / 2;
  return o.pad(x, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)]);
}

/** The elements of padded x that one tap of the kernel meets, [.,.,...out]. */
export function tapInput(
  x: Value,
  tap: readonly number[],
  out: readonly number[],
  { strides, dilations }: ConvGeometry,
): Value {
  const starts = tap.map((offset, i) => offset * dilations[i]!);
  const ends = starts.map((start, i) => start + (out[i]! - 1) * strides[i]! + 1);
  return o.slice(x, { axes: spatialAxes(out.length), starts, ends, steps: strides });
}

const channelsFirst = (value: Value): Value => o.transpose(value, [1, 0, ...spatialAxes(value.shape.length - 2)]);

/** What every tap meets in all pictures, [C*taps,N*P] for a result of `out` positions: im2col. */
export function columnsOf(x: Value, out: readonly number[], geometry: ConvGeometry): Value {
  const [n, c] = dimsOf(x);
  const whole = channelsFirst(padded(x, geometry.pads));
  const positions = n! * sizeOf(out);
  const met = taps(geometry.kernel).map((tap) => o.reshape(tapInput(whole, tap, out, geometry), [c!, 1, positions]));
  return o.reshape(o.concat(met, 1), [c! * met.length, positions]);
}

/** [N,K,...] as rows of all pictures, [K,N*P]. */
export const rowsOf = (y: Value): Value => {
  const [n, k, ...out] = dimsOf(y);
  return o.reshape(channelsFirst(y), [k!, n! * sizeOf(out)]);
};

/** The matrix that reverses the order of `size` columns. */
const reversal = (w: Value, size: number): Value =>
  w.graph.constant(
    'float32',
    [size, size],
    Float32Array.from({ length: size * size }, (_, i) => (Math.floor(i / size) + (i % size) === size - 1 ? 1 : 0)),
  );

/**
 * w[K,C/g,...] -> [C,K/g,...], each kernel reversed: the filter that carries dy back to x. Reversed by a product, which on the
 * CPU takes a fifth of the time of a Slice with negative steps.
 */
export function reversedFilter(w: Value, groups: number): Value {
  const [k, c, ...kernel] = dimsOf(w);
  const size = sizeOf(kernel);
  const reversed = size === 1 ? w : o.matmul(o.reshape(w, [k! * c!, size]), reversal(w, size));
  const grouped = o.reshape(reversed, [groups, k! / groups, c!, size]);
  return o.reshape(o.transpose(grouped, [0, 2, 1, 3]), [groups * c!, k! / groups, ...kernel]);
}
