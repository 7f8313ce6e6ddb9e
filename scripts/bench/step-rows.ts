import { mnistBasic, mnistResnet } from '../../models/mnist.ts';
import { resnet, resnetConfigs } from '../../models/resnet.ts';
import { restoreUnet, restoreUnetDefaults } from '../../models/unet.ts';
import { createRng } from '../../training/core/rng.ts';
import { f32, sizeOf, type Tensor } from '../../training/core/tensor.ts';
import * as nn from '../../training/nn/layers.ts';
import { crossEntropyLoss, mseLoss } from '../../training/nn/losses.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { Task } from '../../training/step/train-step.ts';

/** One net with one batch; `net` is its name in torch_step.py, `config` what that needs to know. */
export interface StepRow {
  readonly net: string;
  readonly config?: unknown;
  readonly task: Task;
  readonly batch: Readonly<Record<string, Tensor>>;
}

/** Smooth coloured waves plus noise: something a net can learn from, the same on every machine. */
function waves(dims: readonly number[], noise: number): Tensor<'float32'> {
  const rng = createRng('bench-waves', noise);
  const side = dims.at(-1)!;
  return f32(
    dims,
    Float32Array.from(
      { length: sizeOf(dims) },
      (_, i) => 0.5 + 0.4 * Math.sin((i % side) / 9 + Math.floor(i / side) / 17) + noise * rng.normal(),
    ),
  );
}

function labels(count: number, classes: number): Tensor<'int32'> {
  const rng = createRng('bench-labels');
  return { dtype: 'int32', dims: [count], data: Int32Array.from({ length: count }, () => rng.int(0, classes - 1)) };
}

type Net = (scope: Scope, x: Value) => Value;

/** Photos in, classes out. */
function classifier(name: string, forward: Net, dims: readonly number[], classes: number): StepRow {
  const task: Task = {
    name,
    inputs: [
      { name: 'x', dtype: 'float32', shape: dims },
      { name: 'y', dtype: 'int32', shape: [dims[0]!] },
    ],
    forward: (scope, { x, y }) => ({ loss: crossEntropyLoss(forward(scope, x!), y!) }),
  };
  return { net: name, task, batch: { x: waves(dims, 0.5), y: labels(dims[0]!, classes) } };
}

/** Pictures in, pictures out. */
function translator(name: string, forward: Net, dims: readonly number[], scale: number, config?: unknown): StepRow {
  const [n, c, h, w] = dims as [number, number, number, number];
  const outDims = [n, c, h * scale, w * scale];
  const task: Task = {
    name,
    inputs: [
      { name: 'x', dtype: 'float32', shape: dims },
      { name: 'y', dtype: 'float32', shape: outDims },
    ],
    forward: (scope, { x, y }) => ({ loss: mseLoss(forward(scope, x!), y!) }),
  };
  return { net: name, config, task, batch: { x: waves(dims, 0.1), y: waves(outDims, 0) } };
}

/**
 * The super-resolution net of lesson 14: a convolution, eight residual blocks without norm whose branch is scaled by 0.1, a
 * convolution around which the first one's result is added, pixel shuffle x2, batch norm, a convolution. x[N,3,H,W] -> [N,3,2H,2W].
 */
export function srResnet(scope: Scope, x: Value, { filters = 64, blocks = 8 } = {}): Value {
  const conv = (name: string, h: Value, options: { filters: number }): Value =>
    scope.in(name, (s) => nn.conv2d(s, h, options));
  const first = conv('stem', x, { filters });
  let h = first;
  for (let i = 0; i < blocks; i++) {
    const branch = conv(`block.${i}.conv2`, o.relu(conv(`block.${i}.conv1`, h, { filters })), { filters });
    h = o.add(h, o.mul(branch, 0.1));
  }
  h = o.add(first, conv('body', h, { filters }));
  h = nn.pixelShuffle(scope, conv('up', h, { filters: 4 * filters }));
  return conv(
    'head',
    scope.in('bn', (s) => nn.batchNorm(s, h)),
    { filters: 3 },
  );
}

/** The rows by name, each made when it is asked for. */
export const stepRows: Readonly<Record<string, () => StepRow>> = {
  'mnist-basic': () => classifier('mnist_basic', mnistBasic, [128, 1, 28, 28], 10),
  'mnist-resnet': () => classifier('mnist_resnet', mnistResnet, [128, 1, 28, 28], 10),
  unet: () => translator('unet', restoreUnet, [8, 3, 128, 128], 1, restoreUnetDefaults),
  resnet18: () =>
    classifier('resnet18', (s, x) => resnet(s, x, { ...resnetConfigs.resnet18, classes: 37 }), [16, 3, 128, 128], 37),
  srresnet: () => translator('srresnet', srResnet, [8, 3, 72, 72], 2),
};
