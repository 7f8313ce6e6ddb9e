import { createRng } from '../../training/core/rng.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { epochOrder } from '../../training/data/order.ts';
import { ema } from '../../training/learner/callbacks/ema.ts';
import { mixup } from '../../training/learner/callbacks/mixup.ts';
import { reduceOnPlateau, saveBest } from '../../training/learner/callbacks/track.ts';
import type { Batch, LearnerOptions, Loader } from '../../training/learner/learner.ts';
import { accuracy } from '../../training/learner/metrics.ts';
import { batchNorm, dropout, linear } from '../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';

/** Points on `arms` noisy spiral arms: x f32[N,2], y int32[N], made from the seed alone. */
export interface Spirals {
  readonly x: Float32Array;
  readonly y: Int32Array;
}

export function spirals(count: number, seed: number, arms = 3): Spirals {
  const rng = createRng(seed, 'spirals');
  const x = new Float32Array(2 * count);
  const y = Int32Array.from({ length: count }, (_, i) => i % arms);
  for (let i = 0; i < count; i++) {
    const radius = rng.next();
    const angle = 3 * radius + (2 * Math.PI * y[i]!) / arms + 0.1 * rng.normal();
    x[2 * i] = radius * Math.cos(angle);
    x[2 * i + 1] = radius * Math.sin(angle);
  }
  return { x, y };
}

/** Batches of points; the last is smaller where they do not divide. With `shuffleSeed` every epoch has its own order. */
export function spiralLoader({ x, y }: Spirals, batchSize: number, shuffleSeed?: number): Loader {
  const batchesPerEpoch = Math.ceil(y.length / batchSize);
  const batchOf = (items: readonly number[]): Batch => {
    const data = Float32Array.from(items.flatMap((item) => [x[2 * item]!, x[2 * item + 1]!]));
    return {
      x: { dtype: 'float32', dims: [items.length, 2], data },
      y: { dtype: 'int32', dims: [items.length], data: Int32Array.from(items, (item) => y[item]!) },
    };
  };
  return {
    batchesPerEpoch,
    async *epoch(epoch, { fromBatch = 0 } = {}) {
      const order =
        shuffleSeed === undefined
          ? Array.from(y, (_, i) => i)
          : epochOrder(y.length, y.length, shuffleSeed, epoch).map(({ item }) => item);
      for (let i = fromBatch; i < batchesPerEpoch; i++) yield batchOf(order.slice(i * batchSize, (i + 1) * batchSize));
    },
  };
}

/** Two hidden layers with batch norm: parameters `body.*`, `norm.*`, `head.*`. */
export function spiralNet(scope: Scope, x: Value): Value {
  const body = o.relu(scope.in('body', (s) => linear(s, x, 32)));
  const normed = scope.in('norm', (s) => batchNorm(s, body));
  const middle = o.relu(scope.in('middle', (s) => linear(s, normed, 32)));
  return scope.in('head', (s) => linear(s, middle, 3));
}

export const openCpu: LearnerOptions['open'] = (graph) => openSession(graph, { threads: 1, spin: false });

/** A learner's options for the spirals: 500 points to train on, 201 held out. */
export const spiralOptions = (overrides: Partial<LearnerOptions> = {}): LearnerOptions => ({
  model: spiralNet,
  loss: crossEntropyLoss,
  data: {
    train: spiralLoader(spirals(500, 1), 64, 1),
    valid: spiralLoader(spirals(201, 2), 64),
  },
  open: openCpu,
  ...overrides,
});

/** Everything that could make a resumed run differ: dropout, mixup, averages, best weights, accumulation, plateaus. */
export const demanding = (): Partial<LearnerOptions> => ({
  model: (scope, x) => spiralNet(scope, dropout(scope, x, 0.1)),
  accumulate: 3,
  metrics: [accuracy()],
  callbacks: [mixup(), ema({ decay: 0.9 }), saveBest(), reduceOnPlateau()],
});

/** f32 tensor with the given values. */
export const tensorOf = (dims: readonly number[], values: readonly number[]): Tensor<'float32'> => ({
  dtype: 'float32',
  dims,
  data: Float32Array.from(values),
});
