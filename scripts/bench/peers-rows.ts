import { createRng } from '../../training/core/rng.ts';
import { f32, sizeOf, type Tensor } from '../../training/core/tensor.ts';
import * as nn from '../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { Task } from '../../training/step/train-step.ts';
import { recurrentRows } from './recurrent-rows.ts';
import { stepRows } from './step-rows.ts';

/** A net with one batch that other trainers of JavaScript can be given. */
export interface PeerRow {
  readonly task: Task;
  readonly batch: Readonly<Record<string, Tensor>>;
  /** All parameters are trained by default. */
  readonly isTrained?: (name: string) => boolean;
  /** How far the first losses may be apart, relative; 1e-4 by default. */
  readonly firstTolerance?: number;
}

/** Every side trains with this. */
export const peerHyper = { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-5, wd: 0 };

/** Random numbers in, one of ten classes out. */
function randomRow(name: string, dims: readonly number[], forward: (scope: Scope, x: Value) => Value): PeerRow {
  const rng = createRng(name);
  const y: Tensor = {
    dtype: 'int32',
    dims: [dims[0]!],
    data: Int32Array.from({ length: dims[0]! }, () => rng.int(0, 9)),
  };
  const x = f32(
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => rng.normal()),
  );
  const task: Task = {
    name,
    loops: 'scan',
    inputs: [
      { name: 'x', dtype: 'float32', shape: dims },
      { name: 'y', dtype: 'int32', shape: [dims[0]!] },
    ],
    forward: (scope, inputs) => ({ loss: crossEntropyLoss(forward(scope, inputs.x!), inputs.y!) }),
  };
  return { task, batch: { x, y } };
}

/** 784 - 512 - 256 - 10 with ReLU. */
function mlp(scope: Scope, x: Value): Value {
  const hidden = (h: Value, name: string, features: number): Value =>
    o.relu(scope.in(name, (s) => nn.linear(s, h, features)));
  const h = hidden(hidden(x, 'hidden1', 512), 'hidden2', 256);
  return scope.in('head', (s) => nn.linear(s, h, 10));
}

/** One layer of LSTM, its last state to ten classes. */
function lstm(scope: Scope, x: Value): Value {
  const { hidden } = scope.in('lstm', (s) => nn.lstm(s, x, { hidden: 64 }));
  return scope.in('head', (s) => nn.linear(s, o.squeeze(hidden, [0]), 10));
}

/** The rows by name, each made when it is asked for. */
export const peerRows: Readonly<Record<string, () => PeerRow>> = {
  mlp: () => randomRow('mlp', [128, 784], mlp),
  // TensorFlow.js has one bias where PyTorch has two; with one of ours frozen the nets are the same.
  lstm: () => ({ ...randomRow('lstm', [64, 20, 32], lstm), isTrained: (name) => name !== 'lstm.bias_hh_l0' }),
  gru: recurrentRows.gru!.timed,
  ...stepRows,
  // A mean of half a million squares: the native runtime's is 3e-6 from that in f64, WebAssembly's, with its few long sums, 1.7e-4.
  srresnet: () => ({ ...stepRows.srresnet!(), firstTolerance: 5e-4 }),
};
