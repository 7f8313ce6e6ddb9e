import { ensure } from '../../core/errors.ts';
import { knownKeys } from '../../core/known-keys.ts';
import { needPositive } from '../../core/numbers.ts';
import { createRng, type Rng } from '../../core/rng.ts';
import type { Tensor } from '../../core/tensor.ts';
import type { Callback } from '../../loop/fit-loop.ts';

/** Gamma(shape, 1) by Marsaglia and Tsang (2000); below 1 by the boost U^(1/shape). */
function gamma(rng: Rng, shape: number): number {
  if (shape < 1) return gamma(rng, shape + 1) * (1 - rng.next()) ** (1 / shape);
  const d = shape - 1 / 3;
  for (;;) {
    const x = rng.normal();
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(1 - rng.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Beta(alpha, alpha), 0..1. */
export function symmetricBeta(rng: Rng, alpha: number): number {
  const [a, b] = [gamma(rng, alpha), gamma(rng, alpha)];
  return a / (a + b);
}

/** Items of x[N,...] in another order. */
function permuted(x: Tensor, order: readonly number[]): Tensor {
  const length = x.data.length / order.length;
  const data = x.data.slice() as Float32Array;
  order.forEach((from, i) => {
    data.set((x.data as Float32Array).subarray(from * length, (from + 1) * length), i * length);
  });
  return { ...x, data } as Tensor;
}

export interface MixOptions {
  /** Shape of the distribution Beta(alpha, alpha) that the share of the other item comes from. */
  readonly alpha?: number;
  readonly seed?: number;
}

/** A callback that makes of x and another item's x a mixed one, of which the share `mix` is the item itself. */
function mixing(
  name: string,
  usualAlpha: number,
  options: MixOptions,
  blend: (x: Tensor<'float32'>, other: Float32Array, draw: number, rng: Rng) => { data: Float32Array; mix: number },
): Callback {
  knownKeys(name, options, ['alpha', 'seed']);
  const { alpha = usualAlpha, seed = 1 } = options;
  needPositive(name, 'alpha', alpha);
  return {
    name,
    numbers: [],
    beforeBatch: ({ batch, progress, replaceBatch }) => {
      const { x, y } = batch as { readonly x: Tensor<'float32'>; readonly y: Tensor };
      const rng = createRng(seed, name, progress.epoch, progress.batch);
      const draw = symmetricBeta(rng, alpha);
      const order = rng.shuffle(Array.from({ length: x.dims[0]! }, (_, i) => i));
      const { data, mix } = blend(x, permuted(x, order).data as Float32Array, draw, rng);
      const share: Tensor = { dtype: 'float32', dims: [], data: Float32Array.of(mix) };
      replaceBatch({ x: { ...x, data }, y, y2: permuted(y, order), mix: share });
    },
  };
}

/**
 * Mixup (Zhang et al. 2018): x becomes mix x + (1 - mix) x of another item of the batch, and the loss the same mixture of
 * the losses for both targets. That is the loss for the mixed target wherever a loss is linear in it, as cross-entropy
 * is, and it takes any loss. One mix from Beta(alpha, alpha), alpha 0.4, per batch, as the paper's code has it, at least 0.5.
 */
export const mixup = (options: MixOptions = {}): Callback =>
  mixing('mixup', 0.4, options, (x, other, draw) => {
    const mix = Math.max(draw, 1 - draw);
    return { data: x.data.map((value, i) => mix * value + (1 - mix) * other[i]!), mix };
  });

/** The part of 0..`size` that a cut of `length` about `middle` takes away. */
const cut = (size: number, middle: number, length: number): readonly [number, number] => [
  Math.max(0, Math.round(middle - length / 2)),
  Math.min(size, Math.round(middle + length / 2)),
];

/**
 * CutMix (Yun et al. 2019): a rectangle of x[N,C,H,W] is that of another item of the batch, the same one for the whole
 * batch; the loss is the mixture of the losses for both targets by area. The area's share is from Beta(alpha, alpha),
 * alpha 1, less what lies outside of the picture.
 */
export const cutmix = (options: MixOptions = {}): Callback =>
  mixing('cutmix', 1, options, (x, other, draw, rng) => {
    const [, , height, width] = x.dims;
    ensure(x.dims.length === 4, 'bad-shape', () => `cutmix: expected pictures x[N,C,H,W], got [${x.dims}]; use mixup`);
    const side = Math.sqrt(1 - draw);
    const [left, right] = cut(width!, rng.next() * width!, side * width!);
    const [top, bottom] = cut(height!, rng.next() * height!, side * height!);
    const data = x.data.slice();
    for (let row = 0; row < data.length / width!; row++) {
      const y = row % height!;
      if (y < top || y >= bottom) continue;
      const [from, to] = [row * width! + left, row * width! + right];
      data.set(other.subarray(from, to), from);
    }
    return { data, mix: 1 - ((right - left) * (bottom - top)) / (width! * height!) };
  });
