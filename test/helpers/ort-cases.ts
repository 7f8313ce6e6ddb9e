import { expect } from 'chai';
import { mnistBasic } from '../../models/mnist.ts';
import { type RestoreUnetConfig, restoreUnetDefaults } from '../../models/unet.ts';
import { restoreTask } from '../../tasks/restore/net.ts';
import { createRng } from '../../training/core/rng.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { taskOf } from '../../training/learner/compiled.ts';
import { linear } from '../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import { initialWeights, type ParamSpec, type Weights } from '../../training/nn/scope.ts';
import * as o from '../../training/ops/build.ts';
import type { OptimizerDef } from '../../training/optim/define.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import type { Tensors } from '../../training/run/session.ts';
import { createState, setWeights, type TrainState } from '../../training/step/state.ts';
import { buildForward, type Task } from '../../training/step/train-step.ts';

export const random = (
  dims: readonly number[],
  seed: number,
  draw: 'next' | 'normal' = 'normal',
): Tensor<'float32'> => {
  const rng = createRng(seed, 'ort-artifacts');
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => rng[draw]());
  return { dtype: 'float32', dims, data };
};

export const labels = (count: number, classes: number, seed: number): Tensor<'int32'> => {
  const rng = createRng(seed, 'labels');
  return {
    dtype: 'int32',
    dims: [count],
    data: Int32Array.from({ length: count }, () => Math.floor(classes * rng.next())),
  };
};

export interface Case {
  readonly task: Task;
  readonly batch: (step: number) => Tensors;
}

export const mlp: Case = {
  batch: (step) => ({ x: random([16, 8], step), y: labels(16, 3, step) }),
  task: taskOf(
    {
      name: 'mlp',
      model: (scope, x) => {
        const hidden = o.relu(scope.in('hidden', (s) => linear(s, x, 16)));
        return scope.in('head', (s) => linear(s, hidden, 3));
      },
      loss: crossEntropyLoss,
      activation: (x) => x,
    },
    { x: random([16, 8], 0), y: labels(16, 3, 0) },
  ),
};

export const lessonCnn: Case = {
  batch: (step) => ({ x: random([16, 1, 28, 28], step), y: labels(16, 10, step) }),
  task: taskOf(
    { name: 'mnist', model: mnistBasic, loss: crossEntropyLoss, activation: (x) => x },
    { x: random([16, 1, 28, 28], 0), y: labels(16, 10, 0) },
  ),
};

const smallUnet: RestoreUnetConfig = { ...restoreUnetDefaults, widths: [8, 16], blocks: [1, 1], headWidth: 5 };
export const unet: Case = {
  batch: (step) => ({ x: random([2, 3, 16, 16], step, 'next'), y: random([2, 3, 16, 16], step + 100, 'next') }),
  task: restoreTask(smallUnet, 'mse', [2, 16, 16]),
};

const specsOf = (task: Task): readonly ParamSpec[] =>
  // The runtime decays all parameters alike.
  buildForward(task, true).scope.specs.map((spec) => ({ ...spec, decay: spec.kind === 'param' }));

export function startState(task: Task, optimizer: OptimizerDef = adamw): TrainState {
  const specs = specsOf(task);
  const state = createState(specs, { optimizer });
  setWeights(state, initialWeights(specs, 1));
  return state;
}

export const weightsOf = (state: TrainState): Weights =>
  new Map([...state.tensors].map(([name, { data }]) => [name, data]));

/** The parameters (and buffers) one after the other, in the model's order. */
export function flatten({ specs, tensors }: TrainState, trainedOnly: boolean): Float32Array {
  const wanted = specs.filter(({ kind }) => kind === 'param' || !trainedOnly);
  return Float32Array.from(wanted.flatMap(({ name }) => [...tensors.get(name)!.data]));
}

/** Gives every parameter and buffer its part of `values`, which lie as {@link flatten} lays them. */
export function fill({ specs, tensors }: TrainState, values: Float32Array): void {
  let at = 0;
  for (const { name } of specs) {
    const { data } = tensors.get(name)!;
    data.set(values.subarray(at, at + data.length));
    at += data.length;
  }
  expect(at).to.equal(values.length);
}

/** |a - b| / |b|. */
export function distance(a: Float32Array, b: Float32Array): number {
  expect(a.length).to.equal(b.length);
  return Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);
}
