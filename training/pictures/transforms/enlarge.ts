import type { Image } from '../../core/image.ts';
import type { Size } from '../sizes.ts';

/** Along one side: the two source positions that each of `to` pixels lies between, and the share of the second. */
function makeTaps(from: number, to: number): { low: Int32Array; high: Int32Array; share: Float64Array } {
  const taps = { low: new Int32Array(to), high: new Int32Array(to), share: new Float64Array(to) };
  for (let i = 0; i < to; i++) {
    const position = Math.max(0, Math.min(from - 1, ((i + 0.5) * from) / to - 0.5));
    taps.low[i] = Math.floor(position);
    taps.high[i] = Math.min(from - 1, taps.low[i]! + 1);
    taps.share[i] = position - taps.low[i]!;
  }
  return taps;
}

/**
 * enlarge: image u8 -> image u8 of `size`, at least as large on both sides; bilinear, half-pixel centres, edges clamped.
 * Written here because sharp's enlargement (libvips affine) lies half a pixel of the result off that grid.
 */
export function enlarge(image: Image, size: Size): Image {
  const { channels, width, data } = image;
  const xs = makeTaps(width, size.width);
  const ys = makeTaps(image.height, size.height);
  const out = new Uint8ClampedArray(size.width * size.height * channels);
  let to = 0;
  for (let y = 0; y < size.height; y++) {
    const above = ys.low[y]! * width;
    const below = ys.high[y]! * width;
    for (let x = 0; x < size.width; x++) {
      const [low, high, share] = [xs.low[x]!, xs.high[x]!, xs.share[x]!];
      for (let c = 0; c < channels; c++, to++) {
        const at = (pixel: number): number => data[pixel * channels + c]!;
        const top = at(above + low) + (at(above + high) - at(above + low)) * share;
        const bottom = at(below + low) + (at(below + high) - at(below + low)) * share;
        out[to] = top + (bottom - top) * ys.share[y]!;
      }
    }
  }
  return { ...size, channels, data: new Uint8Array(out.buffer) };
}
