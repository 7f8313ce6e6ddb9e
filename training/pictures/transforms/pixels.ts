import type { Image } from '../../core/image.ts';
import type { Size } from '../sizes.ts';

/** A rectangle in pixels; x to the right, y downwards, from the top-left corner of the (enlarged) picture. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export type Scale = 1 | 2 | 4;

/** mirror(i, n): index i >= 0 reflected at the last of n items without repeating it: 0 1 2 1 0 1 .. for n = 3. */
function mirror(i: number, n: number): number {
  if (i < n) return i;
  const period = Math.max(1, 2 * (n - 1));
  const folded = i % period;
  return folded < n ? folded : period - folded;
}

/** Where each of `length` enlarged coordinates from `start` reads: items low and high, and the share of high. */
interface Taps {
  readonly low: Int32Array;
  readonly high: Int32Array;
  /** f32 0..1; multiples of 1/8, so that bilinear sums of bytes are exact. */
  readonly share: Float32Array;
}

/** Bilinear with half-pixel centres, clamped at the edges of n items; past the enlarged end coordinates are mirrored. */
function makeTaps(start: number, length: number, n: number, scale: Scale): Taps {
  const taps = { low: new Int32Array(length), high: new Int32Array(length), share: new Float32Array(length) };
  for (let i = 0; i < length; i++) {
    const position = (mirror(start + i, n * scale) + 0.5) / scale - 0.5;
    const low = Math.floor(position);
    taps.low[i] = Math.max(0, low);
    taps.high[i] = Math.min(n - 1, low + 1);
    taps.share[i] = position - low;
  }
  return taps;
}

/** Resamples one row of one channel into `out` (f32 0..255); `row` is the index of the row's first byte of the channel. */
function resampleRow(data: Uint8Array, row: number, channels: number, taps: Taps, out: Float32Array): void {
  const { low, high, share } = taps;
  for (let x = 0; x < out.length; x++) {
    const a = data[row + low[x]! * channels]!;
    out[x] = a + (data[row + high[x]! * channels]! - a) * share[x]!;
  }
}

/** Calls `emit(y, values)` for each row of the window of one channel, top to bottom; values f32[width] 0..255, reused. */
function resampleChannel(
  image: Image,
  channel: number,
  xs: Taps,
  ys: Taps,
  emit: (y: number, values: Float32Array) => void,
): void {
  const { data, channels, width } = image;
  const columns = xs.low.length;
  const values = new Float32Array(columns);
  const rows = [new Float32Array(columns), new Float32Array(columns)] as const;
  const held = [-1, -1]; // which source row each of `rows` holds: even rows in the first, odd ones in the second
  const rowAt = (y: number): Float32Array => {
    const slot = y & 1;
    if (held[slot] !== y) resampleRow(data, y * width * channels + channel, channels, xs, rows[slot === 0 ? 0 : 1]);
    held[slot] = y;
    return rows[slot === 0 ? 0 : 1];
  };
  for (let y = 0; y < ys.low.length; y++) {
    const top = rowAt(ys.low[y]!);
    const bottom = rowAt(ys.high[y]!);
    const share = ys.share[y]!;
    for (let x = 0; x < columns; x++) values[x] = top[x]! + (bottom[x]! - top[x]!) * share;
    emit(y, values);
  }
}

/**
 * sampleWindow: image u8, scale, window in the enlarged picture -> planes f32[3,h,w] 0..1 (in `out` when given).
 * The picture is enlarged bilinearly (half-pixel centres, edges clamped; scale 1 copies). The window may reach past the
 * right and bottom edges of the enlarged picture, where it is reflected. Grey is repeated; alpha is omitted.
 */
export function sampleWindow(image: Image, scale: Scale, window: Rect, out?: Float32Array): Float32Array {
  const size = window.width * window.height;
  const planes = out ?? new Float32Array(3 * size);
  const xs = makeTaps(window.x, window.width, image.width, scale);
  const ys = makeTaps(window.y, window.height, image.height, scale);
  const colours = image.channels === 1 ? 1 : 3;
  for (let c = 0; c < colours; c++) {
    if (scale === 1) copyChannel(image, c, xs, ys, planes, c * size);
    else {
      resampleChannel(image, c, xs, ys, (y, values) => {
        const at = c * size + y * window.width;
        for (let x = 0; x < values.length; x++) planes[at + x] = values[x]! / 255;
      });
    }
  }
  if (colours === 1) {
    planes.copyWithin(size, 0, size);
    planes.copyWithin(2 * size, 0, size);
  }
  return planes;
}

/** f32 0..1 of each byte. */
const unit = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

function copyChannel(image: Image, channel: number, xs: Taps, ys: Taps, planes: Float32Array, start: number): void {
  const { data, channels, width } = image;
  const columns = xs.low.length;
  for (let y = 0; y < ys.low.length; y++) {
    const row = ys.low[y]! * width * channels + channel;
    const at = start + y * columns;
    for (let x = 0; x < columns; x++) planes[at + x] = unit[data[row + xs.low[x]! * channels]!]!;
  }
}

/**
 * writeWindow: planes f32[3,h,w] 0..1 of `window` -> the pixels of `crop` in target u8 (3 or 4 channels), rounded and
 * clipped. `crop` lies inside both the window and the target; a fourth channel is left as it is.
 */
export function writeWindow(planes: Float32Array, window: Rect, crop: Rect, target: Image): void {
  const size = window.width * window.height;
  const { channels, width } = target;
  const bytes = clamped(target.data);
  for (let c = 0; c < 3; c++) {
    for (let y = crop.y; y < crop.y + crop.height; y++) {
      let from = c * size + (y - window.y) * window.width + crop.x - window.x;
      let to = (y * width + crop.x) * channels + c;
      for (let x = 0; x < crop.width; x++, from++, to += channels) bytes[to] = planes[from]! * 255;
    }
  }
}

/** imageOfPlanes: planes f32[3,h,w] 0..1 of a picture of size `whole` -> RGB u8, rounded and clipped; `size` of it, from the top left, all by default. */
export function imageOfPlanes(planes: Float32Array, whole: Size, { width, height }: Size = whole): Image {
  const image: Image = { width, height, channels: 3, data: new Uint8Array(3 * width * height) };
  const window = { x: 0, y: 0, width: whole.width, height: whole.height };
  writeWindow(planes, window, { x: 0, y: 0, width, height }, image);
  return image;
}

/** The same memory as an array whose stores round to the nearest byte and clip. */
const clamped = (data: Uint8Array): Uint8ClampedArray =>
  new Uint8ClampedArray(data.buffer, data.byteOffset, data.byteLength);

/** writeAlpha: alpha of image u8 (4 channels), enlarged bilinearly -> the fourth channel of `crop` in target u8. */
export function writeAlpha(image: Image, scale: Scale, crop: Rect, target: Image): void {
  const xs = makeTaps(crop.x, crop.width, image.width, scale);
  const ys = makeTaps(crop.y, crop.height, image.height, scale);
  const bytes = clamped(target.data);
  resampleChannel(image, 3, xs, ys, (y, values) => {
    let to = ((crop.y + y) * target.width + crop.x) * 4 + 3;
    for (let x = 0; x < values.length; x++, to += 4) bytes[to] = values[x]!;
  });
}

/**
 * bleedUnderAlpha: gives every fully transparent pixel of `image` (4 channels, changed in place) the colour of about the
 * nearest visible one, so that the hidden colour does not leak into its neighbours. Two chamfer passes (Rosenfeld and
 * Pfaltz 1966) that carry the colour along; distances saturate at 254.
 */
export function bleedUnderAlpha(image: Image): void {
  const { width, height, data } = image;
  const count = width * height;
  const distance = new Uint8Array(count);
  for (let i = 0; i < count; i++) distance[i] = data[4 * i + 3] === 0 ? unknown : 0;
  if (!distance.includes(unknown) || !distance.includes(0)) return;
  for (let i = 0; i < count; i++) if (distance[i]! > 0) takeNearest(image, distance, i, -1);
  for (let i = count - 1; i >= 0; i--) if (distance[i]! > 0) takeNearest(image, distance, i, 1);
}

const unknown = 255;

/** Looks at the neighbours of pixel i that the pass (direction -1: downwards, 1: upwards) has done before. */
function takeNearest({ width, height, data }: Image, distance: Uint8Array, i: number, direction: -1 | 1): void {
  const x = i % width;
  const row = i + direction * width;
  const rowInside = row >= 0 && row < width * height;
  let best = distance[i]!;
  let from = -1;
  const look = (j: number): void => {
    if (distance[j] === unknown) return;
    const through = Math.min(254, distance[j]! + 1);
    if (through < best) {
      best = through;
      from = j;
    }
  };
  if (x + direction >= 0 && x + direction < width) look(i + direction);
  if (rowInside) {
    look(row);
    if (x > 0) look(row - 1);
    if (x < width - 1) look(row + 1);
  }
  if (from < 0) return;
  distance[i] = best;
  data.copyWithin(4 * i, 4 * from, 4 * from + 3);
}
