import { createRng, type Rng } from '../../core/rng.ts';
import type { Tensor } from '../../core/tensor.ts';
import type { Callback } from '../learner.ts';

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

/**
 * Mixup (Zhang et al. 2018): x becomes mix x + (1 - mix) x of another item of the batch, and the loss the same mixture of
 * the losses for both targets. That is the loss for the mixed target wherever a loss is linear in it, as cross-entropy
 * is, and it takes any loss. One mix from Beta(alpha, alpha) per batch, as the paper's code has it, at least 0.5.
 */
export const mixup = ({
  alpha = 0.4,
  seed = 1,
}: {
  readonly alpha?: number;
  readonly seed?: number;
} = {}): Callback => ({
  name: 'mixup',
  numbers: [],
  beforeBatch: ({ batch, progress, replaceBatch }) => {
    const { x, y } = batch as { readonly x: Tensor<'float32'>; readonly y: Tensor };
    const rng = createRng(seed, 'mixup', progress.epoch, progress.batch);
    const draw = symmetricBeta(rng, alpha);
    const mix = Math.max(draw, 1 - draw);
    const order = rng.shuffle(Array.from({ length: x.dims[0]! }, (_, i) => i));
    const other = permuted(x, order).data as Float32Array;
    const mixed = x.data.map((value, i) => mix * value + (1 - mix) * other[i]!);
    const share: Tensor = { dtype: 'float32', dims: [], data: Float32Array.of(mix) };
    replaceBatch({ x: { ...x, data: mixed }, y, y2: permuted(y, order), mix: share });
  },
});
