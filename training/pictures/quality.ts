import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { luma } from './damage/grey.ts';

/** Largest value of a channel: the dynamic range L of both metrics. */
const PEAK = 255;

function checkSizes(where: string, a: Image, b: Image): void {
  const shape = ({ width, height, channels }: Image): string => `${width}x${height}x${channels}`;
  ensure(shape(a) === shape(b), 'bad-shape', () => {
    return `${where}: expected pictures of one size, got ${shape(a)} and ${shape(b)}; resize or crop one of them`;
  });
}

/** psnr: two pictures u8, all channels -> peak signal-to-noise ratio in dB, 10 log10(255^2 / mean squared error). */
export function psnr(a: Image, b: Image): number {
  checkSizes('psnr', a, b);
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += (a.data[i]! - b.data[i]!) ** 2;
  return 10 * Math.log10((PEAK * PEAK * a.data.length) / sum);
}

/** The 11-tap Gaussian of standard deviation 1.5, sum 1. */
const TAPS = 11;
const gaussian: readonly number[] = (() => {
  const raw = Array.from({ length: TAPS }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * 1.5 ** 2)));
  const sum = raw.reduce((total, value) => total + value, 0);
  return raw.map((value) => value / sum);
})();

interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

/** The picture's luma, 0..255. */
function lumaPlane({ width, height, channels, data }: Image): Plane {
  const plane = new Float64Array(width * height);
  for (let i = 0; i < plane.length; i++) {
    const at = i * channels;
    plane[i] = channels === 1 ? data[at]! : luma(data[at]!, data[at + 1]!, data[at + 2]!);
  }
  return { width, height, data: plane };
}

/** Gaussian mean of `value(i)` at every window that lies wholly inside: [H,W] -> [H-10,W-10]. */
function localMean(width: number, height: number, value: (i: number) => number): Float64Array {
  const columns = width - TAPS + 1;
  const rows = height - TAPS + 1;
  const across = new Float64Array(columns * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < TAPS; k++) sum += gaussian[k]! * value(y * width + x + k);
      across[y * columns + x] = sum;
    }
  }
  const mean = new Float64Array(columns * rows);
  for (let i = 0; i < mean.length; i++) {
    for (let k = 0; k < TAPS; k++) mean[i]! += gaussian[k]! * across[i + k * columns]!;
  }
  return mean;
}

/**
 * ssim: two pictures u8 -> mean structural similarity of their luma, -1..1. Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli,
 * "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13(4), 2004: Gaussian window
 * 11 x 11 of sigma 1.5, K1 0.01, K2 0.03, only windows wholly inside the picture. Both sides must be at least 11.
 */
export function ssim(a: Image, b: Image): number {
  checkSizes('ssim', a, b);
  const { width, height } = a;
  ensure(Math.min(width, height) >= TAPS, 'bad-shape', () => {
    return `ssim: expected sides of at least ${TAPS} px, got ${width}x${height}`;
  });
  const { data: p } = lumaPlane(a);
  const { data: q } = lumaPlane(b);
  const mean = (value: (i: number) => number): Float64Array => localMean(width, height, value);
  const [meanP, meanQ] = [mean((i) => p[i]!), mean((i) => q[i]!)];
  const [meanPP, meanQQ, meanPQ] = [mean((i) => p[i]! ** 2), mean((i) => q[i]! ** 2), mean((i) => p[i]! * q[i]!)];
  const c1 = (0.01 * PEAK) ** 2;
  const c2 = (0.03 * PEAK) ** 2;
  let sum = 0;
  for (let i = 0; i < meanP.length; i++) {
    const [u, v] = [meanP[i]!, meanQ[i]!];
    const covariance = meanPQ[i]! - u * v;
    const variances = meanPP[i]! - u * u + meanQQ[i]! - v * v;
    sum += ((2 * u * v + c1) * (2 * covariance + c2)) / ((u * u + v * v + c1) * (variances + c2));
  }
  return sum / meanP.length;
}
