import { kaimingUniform, uniformInit } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';

/*
 * The three nets of the lesson on MNIST, and the last one with dense blocks. Each takes x f32[N,1,28,28] and gives scores f32[N,10]: five convolutions of
 * stride 2 take 28 x 28 to 14, 7, 4, 2 and 1.
 */

const widths = [8, 16, 32, 16, 10] as const;

/** Convolution with bias, batch norm and ReLU, begun as PyTorch begins them; no ReLU after the last. 12 126 parameters. */
export function mnistBasic(scope: Scope, x: Value): Value {
  const scores = widths.reduce((value, filters, i) => {
    // PyTorch: weights and biases uniform in +-1 / sqrt(fan in).
    const biasInit = uniformInit(1 / Math.sqrt(9 * (value.shape[1] as number)));
    const convolved = scope.in(`conv${i + 1}`, (s) =>
      nn.conv2d(s, value, { filters, stride: 2, init: kaimingUniform, biasInit }),
    );
    const normed = scope.in(`bn${i + 1}`, (s) => nn.batchNorm(s, convolved));
    return i + 1 < widths.length ? o.relu(normed) : normed;
  }, x);
  return nn.flatten(scores);
}

/**
 * fastai v1's `conv_layer`: convolution without bias, ReLU, batch norm, in this order. It is `nn.convBlock` but for the name
 * of the norm: `bn`, as in the checkpoints that there are, and a name also decides the first weights.
 */
function convLayer(scope: Scope, x: Value, filters: number, { stride = 1, scale = 1 } = {}): Value {
  const convolved = scope.in('conv', (s) => nn.conv2d(s, x, { filters, stride, bias: false }));
  return scope.in('bn', (s) => nn.batchNorm(s, o.relu(convolved), { scale, shift: 1e-3 }));
}

/** Five `conv_layer`s of stride 2. 12 044 parameters. */
function mnistConvLayers(scope: Scope, x: Value): Value {
  return nn.flatten(
    widths.reduce(
      (value, filters, i) => scope.in(`layer${i + 1}`, (s) => convLayer(s, value, filters, { stride: 2 })),
      x,
    ),
  );
}

/** fastai v1's `res_block`: x + two `conv_layer`s, the second norm's scale begun at zero (BatchZero). */
function resBlock(scope: Scope, x: Value): Value {
  const filters = x.shape[1] as number;
  const one = scope.in('layer1', (s) => convLayer(s, x, filters));
  const two = scope.in('layer2', (s) => convLayer(s, one, filters, { scale: 0 }));
  return o.add(x, two);
}

/** The ladder of `conv2` and `res_block`. 41 132 parameters. */
export function mnistResnet(scope: Scope, x: Value): Value {
  const scores = widths.reduce((value, filters, i) => {
    const down = scope.in(`layer${i + 1}`, (s) => convLayer(s, value, filters, { stride: 2 }));
    return i + 1 < widths.length ? scope.in(`res${i + 1}`, (s) => resBlock(s, down)) : down;
  }, x);
  return nn.flatten(scores);
}

/** fastai v1's `res_block(dense=True)`: two `conv_layer`s and, beside their channels, the input's: C -> 2C. */
function denseBlock(scope: Scope, x: Value): Value {
  const filters = x.shape[1] as number;
  const layer: nn.Layer = (s, y) => convLayer(s, y, filters);
  return nn.sequentialEx(scope, x, [layer, layer, nn.mergeLayer({ dense: true })]);
}

/** The ladder of {@link mnistResnet} with + replaced by concatenation; the next stride-2 layer narrows again. 52 940 parameters. */
function mnistDense(scope: Scope, x: Value): Value {
  const scores = widths.reduce((value, filters, i) => {
    const down = scope.in(`layer${i + 1}`, (s) => convLayer(s, value, filters, { stride: 2 }));
    return i + 1 < widths.length ? scope.in(`dense${i + 1}`, (s) => denseBlock(s, down)) : down;
  }, x);
  return nn.flatten(scores);
}

/** The nets by the names that scripts take. */
export const mnistNets = { basic: mnistBasic, conv: mnistConvLayers, resnet: mnistResnet, dense: mnistDense } as const;
export type MnistNet = keyof typeof mnistNets;
