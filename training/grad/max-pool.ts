import { staticShape } from '../core/shape.ts';
import type { Node, Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { taps } from '../ops/conv-parts.ts';
import { evenOdd, interleave } from '../ops/phases.ts';
import { intsAttr } from './define.ts';
import { placeOnAxis } from './layout.ts';

/*
 * The gradient of max pooling: each window's goes to its first maximum in row-major order, as in PyTorch. Made of moves and
 * comparisons, because the Indices output of MaxPool does not run on every provider.
 */

const dimsOf = (value: Value): readonly number[] => staticShape(value.shape, 'pooling gradient');

export interface PoolGeometry {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
}
export const poolGeometry = (node: Node): PoolGeometry => ({
  kernel: intsAttr(node, 'kernel_shape'),
  strides: intsAttr(node, 'strides'),
  pads: intsAttr(node, 'pads'),
});

/** Below every picture and activation; padding must never win a maximum. */
const lowest = -3e38;

/** Gives each window's dy to one tap after the other: to the first whose element is the window's maximum. */
class FirstMaximum {
  private readonly dy: Value;
  private readonly y: Value;
  /** Where no tap has matched yet. */
  private free: Value | undefined;

  constructor(dy: Value, y: Value) {
    this.dy = dy;
    this.y = y;
  }

  /** dy where the elements `met` by the next tap are the first maxima (and `valid`), else 0. */
  next(met: Value, valid?: Value): Value {
    const equal = o.equal(met, this.y);
    const hit = valid === undefined ? equal : o.and(equal, valid);
    const first = this.free === undefined ? hit : o.and(hit, this.free);
    this.free = this.free === undefined ? o.not(hit) : o.and(this.free, o.not(hit));
    return o.mul(this.dy, o.cast(first, 'float32'));
  }
}

/** The gradient at one tap of every window, put back where the tap lies in the padded input. */
function placeTap(part: Value, tap: readonly number[], size: readonly number[], strides: readonly number[]): Value {
  return tap.reduce((value, offset, i) => placeOnAxis(value, i + 2, size[i]!, offset, strides[i]!), part);
}

/** For any kernel, stride and padding: slices of padded x, and their gradients spaced out and added. */
function byPlacing(dy: Value, x: Value, y: Value, { kernel, strides, pads }: PoolGeometry): Value {
  const rank = kernel.length;
  const padded = pads.some((amount) => amount > 0)
    ? o.pad(x, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)], 'constant', lowest)
    : x;
  const size = dimsOf(padded).slice(2);
  const out = dimsOf(y).slice(2);
  // Room for whole strides behind the last tap, cropped at the end.
  const roomy = size.map((length, i) => Math.max(length, kernel[i]! - 1 + out[i]! * strides[i]!));
  const maxima = new FirstMaximum(dy, y);
  const placed = taps(kernel).map((tap) => {
    const met = o.slice(padded, {
      axes: tap.map((_, i) => i + 2),
      starts: tap,
      ends: tap.map((t, i) => t + (out[i]! - 1) * strides[i]! + 1),
      steps: strides,
    });
    return placeTap(maxima.next(met), tap, roomy, strides);
  });
  const inner = dimsOf(x).slice(2);
  return o.slice(placed.reduce(o.add), {
    axes: inner.map((_, i) => i + 2),
    starts: pads.slice(0, rank),
    ends: inner.map((length, i) => pads[i]! + length),
  });
}

/** flat[N,C,P] with every element `by` places further back; `fill` comes in, what leaves is lost. `by` may be negative. */
function moved(flat: Value, by: number, fill: number): Value {
  if (by === 0) return flat;
  const length = dimsOf(flat)[2]!;
  const wide = o.pad(flat, [0, 0, Math.max(by, 0), 0, 0, Math.max(-by, 0)], 'constant', fill);
  return o.slice(wide, { axes: [2], starts: [Math.max(-by, 0)], ends: [Math.max(-by, 0) + length] });
}

/**
 * For windows of at most 3 with stride 2 that halve an even picture: on the four phases of x (even and odd rows and columns)
 * every tap is a move of a whole flat picture, which is several times as fast as spacing rows out.
 */
function byPhases(dy: Value, x: Value, y: Value, { kernel, pads }: PoolGeometry): Value {
  const [n, c, h, w] = dimsOf(y) as [number, number, number, number];
  const flat = (value: Value): Value => o.reshape(value, [n, c, h * w]);
  // The product would make NaN of a whole row with an infinity in it.
  const finite = (value: Value): Value => o.clip(value, lowest, -lowest);
  const phases = evenOdd(finite(x));
  const phase = (row: number, column: number): Value =>
    flat(o.slice(phases, { axes: [3, 4], starts: [row, column], ends: [row + 1, column + 1] }));
  const inner = Uint8Array.from({ length: h * w }, (_, i) => (i % w === 0 ? 0 : 1));
  const notFirstColumn = o.cast(x.graph.constant('float32', [1, 1, h * w], Float32Array.from(inner)), 'bool');
  const maxima = new FirstMaximum(flat(dy), flat(finite(y)));
  const sums: (Value | undefined)[] = [undefined, undefined, undefined, undefined];
  for (const tap of taps(kernel)) {
    const [row, column] = tap.map((offset, axis) => offset - pads[axis]!) as [number, number];
    const at = 2 * (row & 1) + (column & 1);
    const back = (row < 0 ? w : 0) + (column < 0 ? 1 : 0);
    const met = moved(phase(row & 1, column & 1), back, lowest);
    const part = moved(maxima.next(met, column < 0 ? notFirstColumn : undefined), -back, 0);
    sums[at] = sums[at] === undefined ? part : o.add(sums[at], part);
  }
  const parts = sums.map((sum) => o.reshape(sum!, [n, c, h, 1, w]));
  return interleave(o.reshape(o.concat(parts, 3), [n, c, h, 2, 2, w]));
}

const halves = (x: Value, y: Value, { kernel, strides, pads }: PoolGeometry): boolean =>
  kernel.length === 2 &&
  kernel.every((size, i) => size - pads[i]! === 2 && pads[i]! <= 1 && strides[i] === 2) &&
  dimsOf(x)
    .slice(2)
    .every((size, i) => size === 2 * dimsOf(y)[i + 2]!);

/** dx of y = MaxPool(x), all of [N,C,...]. */
export const maxPoolGrad = (dy: Value, x: Value, y: Value, geometry: PoolGeometry): Value =>
  (halves(x, y, geometry) ? byPhases : byPlacing)(dy, x, y, geometry);
