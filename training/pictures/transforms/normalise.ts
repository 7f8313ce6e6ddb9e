import { ensure } from '../../core/errors.ts';
import type { Statistics } from '../../core/image.ts';
import { type Tensor, tensor } from '../../core/tensor.ts';

export { imagenetStatistics } from '../../core/image.ts';
export type { Statistics };

/** Applies `value * gain[c] + shift[c]` to every value of f32[N,C,...]. */
function affine(x: Tensor<'float32'>, gain: readonly number[], shift: readonly number[]): Tensor<'float32'> {
  const [n = 0, c = 0, ...rest] = x.dims;
  ensure(c === gain.length && c === shift.length, 'bad-shape', () => {
    return `normalise: expected ${gain.length} channels in dimension 1, got [${x.dims}]`;
  });
  const plane = rest.reduce((product, dim) => product * dim, 1);
  const data = new Float32Array(x.data.length);
  for (let p = 0; p < n * c; p++) {
    const [k, b] = [gain[p % c]!, shift[p % c]!];
    for (let i = p * plane; i < (p + 1) * plane; i++) data[i] = x.data[i]! * k + b;
  }
  return tensor('float32', x.dims, data);
}

/** normalise: f32[N,C,...] 0..1 -> (x - mean) / std per channel. */
export const normalise = (x: Tensor<'float32'>, { mean, std }: Statistics): Tensor<'float32'> =>
  affine(
    x,
    std.map((s) => 1 / s),
    mean.map((m, c) => -m / std[c]!),
  );

/** denormalise: f32[N,C,...] -> x * std + mean per channel, the inverse of {@link normalise}. */
export const denormalise = (x: Tensor<'float32'>, { mean, std }: Statistics): Tensor<'float32'> => affine(x, std, mean);

/** channelStatistics: mean and standard deviation of each channel over f32[N,C,...]. */
export function channelStatistics(x: Tensor<'float32'>): Statistics {
  const [n = 0, c = 0, ...rest] = x.dims;
  const plane = rest.reduce((product, dim) => product * dim, 1);
  const sums = Array.from({ length: c }, () => ({ sum: 0, squares: 0 }));
  for (let p = 0; p < n * c; p++) {
    const channel = sums[p % c]!;
    for (let i = p * plane; i < (p + 1) * plane; i++) {
      channel.sum += x.data[i]!;
      channel.squares += x.data[i]! ** 2;
    }
  }
  const mean = sums.map(({ sum }) => sum / (n * plane));
  const std = sums.map(({ squares }, i) => Math.sqrt(Math.max(0, squares / (n * plane) - mean[i]! ** 2)));
  return { mean, std };
}
