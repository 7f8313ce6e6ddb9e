import { sizeOf } from '../core/tensor.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { type ConvGeometry, columnsOf, dimsOf, padded, range, rowsOf, tapInput, taps } from '../ops/conv-parts.ts';
import { evenOdd } from '../ops/phases.ts';

/*
 * The gradient of a convolution with respect to its filter, dw[K,C/g,...] = sum over n and positions p of dy[n,k,p] x[n,c,p * stride + tap].
 * It is a matrix product whose right side is gathered from x, and on the CPU the gathering costs more than the product where it moves short
 * rows; so there are four forms, and {@link convFilterGrad} picks one by the shapes. What each costs: `scripts/bench/conv-forms`.
 */

/**
 * For every tap of the kernel one batched product of dy with the part of x that the tap meets. ONNX Runtime fuses the
 * transposes into the product. Best for large pictures, whose rows are long.
 */
function byTaps(dy: Value, x: Value, geometry: ConvGeometry): Value {
  const { kernel, pads, groups } = geometry;
  const [n, k, ...out] = dimsOf(dy);
  const c = dimsOf(x)[1]! / groups;
  const whole = padded(x, pads);
  const rows = o.reshape(dy, [n!, groups, k! / groups, sizeOf(out)]);
  const products = taps(kernel).map((tap) => {
    const met = o.reshape(tapInput(whole, tap, out, geometry), [n!, groups, c, sizeOf(out)]);
    return o.reshape(o.matmul(rows, o.transpose(met, [0, 1, 3, 2])), [n!, 1, k! * c]);
  });
  const summed = o.reduceSum(o.concat(products, 1), { axes: [0] });
  return o.reshape(o.transpose(o.reshape(summed, [products.length, k! * c]), [1, 0]), [k!, c, ...kernel]);
}

/**
 * One product over all pictures at once: the rows of dy with the columns of x. Best where the filter is large beside the
 * picture: a product for each picture would write a filter for each.
 */
function byColumns(dy: Value, x: Value, geometry: ConvGeometry): Value {
  const [, k, ...out] = dimsOf(dy);
  const product = o.matmul(rowsOf(dy), o.transpose(columnsOf(x, out, geometry), [1, 0]));
  return o.reshape(product, [k!, dimsOf(x)[1]!, ...geometry.kernel]);
}

/** 1 where an element that came from `shift` columns to the left came from the same row, [shifts,1,h*w]. */
function sameRow(x: Value, shifts: readonly number[], h: number, w: number): Value {
  const mask = Float32Array.from({ length: shifts.length * h * w }, (_, i) => {
    const from = (i % w) - shifts[Math.floor(i / (h * w))]!;
    return from >= 0 && from < w ? 1 : 0;
  });
  return x.graph.constant('float32', [shifts.length, 1, h * w], mask);
}

/** Copies of flat[N,C,P], one per shift, moved to the left by so many elements, zeros coming in: each [N,C,P]. */
function shifted(flat: Value, shifts: readonly number[]): Value[] {
  const [before, after] = [Math.max(0, ...shifts.map((s) => -s)), Math.max(0, ...shifts)];
  const [, , length] = dimsOf(flat);
  const wide = o.pad(flat, [0, 0, before, 0, 0, after]);
  return shifts.map((shift) =>
    o.slice(wide, { axes: [2], starts: [before + shift], ends: [before + shift + length!] }),
  );
}

/**
 * dw[i][c][j][k] = sum over n, positions (a, b) of dy[n,k,a,b] x[n,c,a+rows[i],b+columns[j]] for dy[N,K,h,w], x[N,C,h,w], zero
 * outside: [rows,C,columns,K]. Shifts by rows go to x and shifts by columns to dy, both as moves of whole flat
 * pictures; a mask takes out what slipped into a neighbouring row. One product then has all taps. Best for small pictures.
 */
function byShifts(dy: Value, x: Value, rows: readonly number[], columns: readonly number[]): Value {
  const [n, k, h, w] = dimsOf(dy) as [number, number, number, number];
  const c = dimsOf(x)[1]!;
  const left = o.concat(
    shifted(
      o.reshape(x, [n, c, h * w]),
      rows.map((row) => row * w),
    ),
    1,
  );
  const moved = o.concat(
    shifted(
      o.reshape(dy, [n, k, h * w]),
      columns.map((column) => -column),
    ),
    1,
  );
  const kept = o.mul(o.reshape(moved, [n, columns.length, k, h * w]), sameRow(x, columns, h, w));
  const right = o.reshape(kept, [n, columns.length * k, h * w]);
  const summed = o.reduceSum(o.matmul(left, o.transpose(right, [0, 2, 1])), { axes: [0] });
  return o.reshape(summed, [rows.length, c, columns.length, k]);
}

/** {@link byShifts} for stride 1 and a result as large as x. */
function bySameShifts(dy: Value, x: Value, { kernel, pads, dilations }: ConvGeometry): Value {
  const shifts = (axis: number): number[] => range(kernel[axis]!).map((tap) => tap * dilations[axis]! - pads[axis]!);
  return o.transpose(byShifts(dy, x, shifts(0), shifts(1)), [3, 1, 0, 2]);
}

/** x[N,C,2h,2w] -> [N,4C,h,w]: the four pictures of even and odd rows and columns, (row, column, channel) outermost first. */
function phases(x: Value, h: number, w: number): Value {
  const [n, c] = dimsOf(x);
  return o.reshape(o.transpose(evenOdd(x), [0, 3, 4, 1, 2, 5]), [n!, 4 * c!, h, w]);
}

/** Taps [r,2,2,C,s,K] of the four phases -> those of the picture, [K,C,2r,2s], from `first` on and `kernel` many. */
function interleaved(product: Value, first: readonly number[], kernel: readonly number[]): Value {
  const [r, , , c, s, k] = dimsOf(product);
  const all = o.reshape(o.transpose(product, [5, 3, 0, 1, 4, 2]), [k!, c!, 2 * r!, 2 * s!]);
  return o.slice(all, { axes: [2, 3], starts: first, ends: kernel.map((size, i) => first[i]! + size) });
}

/** {@link byShifts} for stride 2: the convolution is one of stride 1 on the four phases of x. */
function byPhaseShifts(dy: Value, x: Value, { kernel, pads }: ConvGeometry): Value {
  const [, k, h, w] = dimsOf(dy) as [number, number, number, number];
  const [, c, height, width] = dimsOf(x);
  const even = o.pad(x, [0, 0, 0, 0, 0, 0, 2 * h - height!, 2 * w - width!]);
  const shifts = kernel.map((size, axis) => {
    const low = Math.floor(-pads[axis]! / 2);
    return range(Math.floor((size - 1 - pads[axis]!) / 2) - low + 1).map((i) => low + i);
  });
  const product = byShifts(dy, phases(even, h, w), shifts[0]!, shifts[1]!);
  const [r, s] = shifts.map(({ length }) => length);
  const first = kernel.map((_, axis) => -pads[axis]! - 2 * shifts[axis]![0]!);
  return interleaved(o.reshape(product, [r!, 2, 2, c!, s!, k!]), first, kernel);
}

/** {@link byTaps} for stride 2 on the four phases of x: a quarter of the taps, and none of them jumps. Best for wide kernels. */
function byPhaseTaps(dy: Value, x: Value, { kernel, pads }: ConvGeometry): Value {
  const [, k, ...out] = dimsOf(dy);
  const [, c, ...size] = dimsOf(x);
  const half = kernel.map((length) => Math.ceil(length / 2));
  const [h, w] = out.map((length, i) => length + half[i]! - 1) as [number, number];
  const ends = size.map((length, i) => 2 * [h, w][i]! - length - pads[i]!);
  const whole = padded(x, [...pads.slice(0, 2), ...ends]);
  const plain = { kernel: half, strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], groups: 1 };
  const product = o.reshape(byTaps(dy, phases(whole, h, w), plain), [k!, 2, 2, c!, ...half]);
  return interleaved(o.transpose(product, [4, 1, 2, 3, 5, 0]), [0, 0], kernel);
}

/** Positions in a picture up to which moving whole pictures beats slicing their rows. */
const smallPicture = 256;

/** The forms by name, each (dy, x, geometry) -> dw. */
export const filterForms = {
  taps: byTaps,
  columns: byColumns,
  shifts: bySameShifts,
  phaseShifts: byPhaseShifts,
  phaseTaps: byPhaseTaps,
} as const;

/** The form of the filter's gradient that suits the shapes of dy[N,K,...], x[N,C,...]. */
export function filterForm(dy: Value, x: Value, geometry: ConvGeometry): keyof typeof filterForms {
  const { kernel, strides, dilations, pads, groups } = geometry;
  const [, k, ...out] = dimsOf(dy);
  const [, c, ...size] = dimsOf(x);
  if (groups > 1) return 'taps';
  if (4 * k! * c! * sizeOf(kernel) >= sizeOf(dimsOf(x))) return 'columns';
  if (kernel.length !== 2 || sizeOf(kernel) === 1) return 'taps';
  const small = sizeOf(out) <= smallPicture;
  const stride = (wanted: number): boolean => strides.every((value) => value === wanted);
  if (small && stride(1) && out.every((length, i) => length === size[i])) return 'shifts';
  if (!stride(2) || dilations.some((dilation) => dilation > 1)) return 'taps';
  if (small && out.every((length, i) => length === Math.ceil(size[i]! / 2))) return 'phaseShifts';
  return sizeOf(kernel) >= 16 && pads.every((amount) => amount >= 0) ? 'phaseTaps' : 'taps';
}

/** Gradient of a convolution with respect to w[K,C/g,...]. */
export const convFilterGrad = (dy: Value, x: Value, geometry: ConvGeometry): Value =>
  filterForms[filterForm(dy, x, geometry)](dy, x, geometry);
