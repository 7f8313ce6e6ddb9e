import type { Image } from '../../core/image.ts';
import type { Size } from '../sizes.ts';
import type { Matrix } from './geometry.ts';

/** What lies outside a picture: its mirror image (edge pixels not repeated), its edge pixels, or nothing. */
export type Padding = 'reflection' | 'border' | 'zeros';

/** How a picture is read into another one. */
export interface Sampling {
  /**
   * Output pixels, counted from the output's centre -> place in the source as a share (0..1 from edge to edge) of its width
   * and height. So pictures of one scene in different sizes (a photo and its mask) are sampled alike by one matrix.
   */
  readonly matrix: Matrix;
  readonly size: Size;
  readonly padding: Padding;
}

/** Marks a position outside of the picture where padding is `zeros`. */
const OUTSIDE = -1;

/** Position in pixels (centres at whole numbers) of n -> one inside 0..n-1 by the rule of `padding`, or OUTSIDE. */
function padded(position: number, n: number, padding: Padding): number {
  if (position >= 0 && position <= n - 1) return position;
  if (padding === 'zeros' && (position < -0.5 || position > n - 0.5)) return OUTSIDE;
  if (padding !== 'reflection') return Math.max(0, Math.min(n - 1, position));
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const folded = Math.abs(position) % period;
  return folded > n - 1 ? period - folded : folded;
}

/** Source columns (or rows) of the output's, when they are whole pixels next to each other; else undefined. -1 is outside. */
function wholePositions(
  gain: number,
  shift: number,
  length: number,
  n: number,
  padding: Padding,
): Int32Array | undefined {
  if (Math.abs(Math.abs(gain) * n - 1) > 1e-9) return undefined;
  const positions = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const position = ((i + 0.5 - length / 2) * gain + shift) * n - 0.5;
    const whole = Math.round(position);
    if (Math.abs(position - whole) > 1e-6) return undefined;
    positions[i] = padded(whole, n, padding);
  }
  return positions;
}

/** Where the map only moves or mirrors by whole pixels: source column and row of each of the output's. */
function wholePixels(
  image: Size,
  { matrix: m, size, padding }: Sampling,
): readonly [Int32Array, Int32Array] | undefined {
  if (m[1] !== 0 || m[3] !== 0 || m[6] !== 0 || m[7] !== 0) return undefined;
  const xs = wholePositions(m[0]! / m[8]!, m[2]! / m[8]!, size.width, image.width, padding);
  const ys = xs && wholePositions(m[4]! / m[8]!, m[5]! / m[8]!, size.height, image.height, padding);
  return ys && [xs, ys];
}

/** Source pixels per output pixel at the centre, along a side of a square of the same area. */
function shrinkFactor(image: Size, { matrix: m }: Sampling): number {
  const area = Math.abs(m[0]! * m[4]! - m[1]! * m[3]!) / m[8]! ** 2;
  return Math.sqrt(area * image.width * image.height);
}

/** Adds the sums of `factor` pixels each of one channel of a row, which begins at `at`, to every `channels`-th of `sums` from `to` on. */
function addBlocks(
  data: Uint8Array,
  at: number,
  { width, channels, factor }: { readonly width: number; readonly channels: number; readonly factor: number },
  sums: Uint32Array,
  to: number,
): void {
  const end = at + width * channels;
  const block = factor * channels;
  for (let from = at; from < end; from += block, to += channels) {
    const stop = Math.min(end, from + block);
    let sum = 0;
    for (let i = from; i < stop; i += channels) sum += data[i]!;
    sums[to]! += sum;
  }
}

/** boxShrink: image u8 -> means of its factor x factor blocks, u8; blocks at the right and bottom may be smaller. */
export function boxShrink(image: Image, factor: number): Image {
  const { width, height, channels, data } = image;
  const size = { width: Math.ceil(width / factor), height: Math.ceil(height / factor) };
  const out = new Uint8Array(size.width * size.height * channels);
  const sums = new Uint32Array(size.width * channels);
  for (let row = 0; row < size.height; row++) {
    const bottom = Math.min(height, (row + 1) * factor);
    sums.fill(0);
    for (let y = row * factor; y < bottom; y++) {
      for (let c = 0; c < channels; c++)
        addBlocks(data, y * width * channels + c, { width, channels, factor }, sums, c);
    }
    for (let i = 0; i < sums.length; i++) {
      const columns = Math.min(width, (Math.floor(i / channels) + 1) * factor) - Math.floor(i / channels) * factor;
      out[row * sums.length + i] = Math.round(sums[i]! / (columns * (bottom - row * factor)));
    }
  }
  return { ...size, channels, data: out };
}

/** One f32 value for each byte: what a channel's bytes become. Interpolation works on these values. */
export type ByteTable = Float32Array;

/** The table of values 0..1. */
export const unitTable: ByteTable = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

/** A picture that has been averaged until it is read at less than two of its pixels per output pixel. */
export interface Source {
  readonly image: Image;
  /** The size of the picture it was made of, in its own pixels, which need not be whole. */
  readonly extent: { readonly x: number; readonly y: number };
}

/** sourceFor: a picture that shrinks by 2 or more is averaged over blocks of whole pixels, so that it does not alias. */
export function sourceFor(image: Image, sampling: Sampling): Source {
  const factor = Math.max(1, Math.floor(shrinkFactor(image, sampling)));
  const extent = { x: image.width / factor, y: image.height / factor };
  return { image: factor > 1 ? boxShrink(image, factor) : image, extent };
}

/**
 * samplePlanes: image u8 -> out f32[C,H,W] with C = tables.length (at most the image's channels): `tables[c]` of channel c,
 * bilinear, of the averaged picture where it shrinks by 2 or more. Outside with padding `zeros`: the table's value of byte 0.
 */
export function samplePlanes(image: Image, sampling: Sampling, tables: readonly ByteTable[], out: Float32Array): void {
  const whole = wholePixels(image, sampling);
  if (whole) copyPixels(image, whole, tables, out);
  else sampleSource(sourceFor(image, sampling), sampling, tables, out);
}

function copyPixels(
  { data, width, channels }: Image,
  [xs, ys]: readonly [Int32Array, Int32Array],
  tables: readonly ByteTable[],
  out: Float32Array,
): void {
  let to = 0;
  for (const [c, table] of tables.entries()) {
    for (const y of ys) {
      const row = y * width * channels + c;
      for (let i = 0; i < xs.length; i++, to++) {
        const x = xs[i]!;
        out[to] = x < 0 || y < 0 ? table[0]! : table[data[row + x * channels]!]!;
      }
    }
  }
}

/** sampleSource: {@link samplePlanes} of a source that is there already; any part of the picture may be asked for. */
export function sampleSource(
  { image, extent }: Source,
  { matrix: m, size, padding }: Sampling,
  tables: readonly ByteTable[],
  out: Float32Array,
): void {
  const { data, width, height, channels } = image;
  const plane = size.width * size.height;
  for (let row = 0, to = 0; row < size.height; row++) {
    const v = row + 0.5 - size.height / 2;
    for (let column = 0; column < size.width; column++, to++) {
      const u = column + 0.5 - size.width / 2;
      const w = m[6]! * u + m[7]! * v + m[8]!;
      const x = padded(((m[0]! * u + m[1]! * v + m[2]!) / w) * extent.x - 0.5, width, padding);
      const y = padded(((m[3]! * u + m[4]! * v + m[5]!) / w) * extent.y - 0.5, height, padding);
      if (x === OUTSIDE || y === OUTSIDE) {
        for (let c = 0; c < tables.length; c++) out[c * plane + to] = tables[c]![0]!;
        continue;
      }
      const [left, top] = [Math.floor(x), Math.floor(y)];
      const [sx, sy] = [x - left, y - top];
      const right = left + 1 < width ? channels : 0;
      const below = top + 1 < height ? width * channels : 0;
      const at = (top * width + left) * channels;
      for (let c = 0; c < tables.length; c++) {
        const table = tables[c]!;
        const a = table[data[at + c]!]!;
        const b = table[data[at + c + right]!]!;
        const d = table[data[at + c + below]!]!;
        const e = table[data[at + c + below + right]!]!;
        const upper = a + (b - a) * sx;
        out[c * plane + to] = upper + (d + (e - d) * sx - upper) * sy;
      }
    }
  }
}

/** sampleMask: class ids u8 (one channel) -> out i32[H,W], the nearest pixel's id, so never a new one; outside: `fill`. */
export function sampleMask(mask: Image, sampling: Sampling, fill: number, out: Int32Array): void {
  const { matrix: m, size, padding } = sampling;
  for (let row = 0, to = 0; row < size.height; row++) {
    const v = row + 0.5 - size.height / 2;
    for (let column = 0; column < size.width; column++, to++) {
      const u = column + 0.5 - size.width / 2;
      const w = m[6]! * u + m[7]! * v + m[8]!;
      const x = padded(((m[0]! * u + m[1]! * v + m[2]!) / w) * mask.width - 0.5, mask.width, padding);
      const y = padded(((m[3]! * u + m[4]! * v + m[5]!) / w) * mask.height - 0.5, mask.height, padding);
      const outside = x === OUTSIDE || y === OUTSIDE;
      out[to] = outside ? fill : mask.data[(Math.round(y) * mask.width + Math.round(x)) * mask.channels]!;
    }
  }
}

/** sampleImage: image u8 -> image u8 of the sampling's size, rounded; `table` maps bytes to 0..1 (lighting). */
export function sampleImage(image: Image, sampling: Sampling, table: ByteTable = unitTable): Image {
  const { channels } = image;
  const plane = sampling.size.width * sampling.size.height;
  const planes = new Float32Array(channels * plane);
  // A fourth channel is transparency, which light does not change.
  const tables = Array.from({ length: channels }, (_, c) => (c === 3 ? unitTable : table));
  samplePlanes(image, sampling, tables, planes);
  const data = new Uint8Array(channels * plane);
  for (let i = 0; i < data.length; i++)
    data[i] = Math.round(255 * planes[(i % channels) * plane + Math.floor(i / channels)]!);
  return { ...sampling.size, channels, data };
}
