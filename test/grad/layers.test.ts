import { expect } from 'chai';
import * as nn from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { type LayerSample, layerGradientError } from './layer-check.ts';

const picture = [2, 4, 6, 5];
const sequence = [3, 5, 4];

/** Constant int32 labels in the graph of `x`. */
const labels = (x: Value, dims: readonly number[], values: readonly number[]): Value =>
  x.graph.constant('int32', dims, Int32Array.from(values));

type Build = LayerSample['build'];
const on = (
  shape: readonly number[],
  rows: Readonly<Record<string, Build>>,
  options: Pick<LayerSample, 'training' | 'step'> = {},
): LayerSample[] => Object.entries(rows).map(([name, build]) => ({ name, shapes: [shape], build, ...options }));

/** For layers with ReLUs. */
const fine = { step: 1 / 4096 };

const layers = [
  ...on(picture, {
    'conv2d, even kernel': (s, x) => nn.conv2d(s, x!, { filters: 3, kernel: 4, stride: 2 }),
    'conv2d, depthwise': (s, x) => nn.conv2d(s, x!, { filters: 8, groups: 4 }),
    'conv2d, weight norm': (s, x) => nn.conv2d(s, x!, { filters: 3, weightNorm: true }),
    convTranspose2d: (s, x) => nn.convTranspose2d(s, x!, { filters: 6, kernel: 4, stride: 2, padding: 1, groups: 2 }),
    adaptiveConcatPool: (_, x) => nn.adaptiveConcatPool(x!, [4, 2]),
    globalMaxPool: (_, x) => nn.globalMaxPool(x!),
    batchNorm: (s, x) => nn.batchNorm(s, x!),
    batchZero: (s, x) => nn.batchZero(s, x!),
    groupNorm: (s, x) => nn.groupNorm(s, x!, 2),
    instanceNorm: (s, x) => nn.instanceNorm(s, x!),
    'instanceNorm, plain': (s, x) => nn.instanceNorm(s, x!, { affine: false }),
    layerNorm: (s, x) => nn.layerNorm(s, x!, { axes: 3 }),
    dropout: (s, x) => nn.dropout(s, o.mul(x!, x!), 0.4),
    dropout2d: (s, x) => nn.dropout2d(s, o.mul(x!, x!), 0.4),
    selfAttention: (s, x) => nn.selfAttention(s, x!),
    pixelShuffleIcnr: (s, x) => nn.pixelShuffleIcnr(s, x!, { filters: 3, blur: true }),
    'resizeLike, a row less and a column more': (s, x) =>
      nn.resizeLike(s, x!, x!.graph.constant('float32', [1, 1, 5, 6], new Float32Array(30))),
    'resizeLike, far larger and smaller': (s, x) =>
      nn.resizeLike(s, x!, x!.graph.constant('float32', [1, 1, 14, 2], new Float32Array(28))),
    prelu: (s, x) => nn.prelu(s, x!, { perChannel: true }),
    'gelu and silu': (_, x) => o.mul(nn.gelu(x!), nn.silu(x!)),
    'flatten and linear': (s, x) => nn.linear(s, nn.flatten(x!), 3),
  }),
  ...on(
    picture,
    {
      'convBlock, leaky, weight norm': (s, x) =>
        nn.convBlock(s, x!, { filters: 3, stride: 2, norm: 'weight', activation: 0.2 }),
      'convBlock, norm first, attention': (s, x) =>
        nn.convBlock(s, x!, { filters: 3, normFirst: true, activation: false, selfAttention: true }),
      'convBlock, transposed': (s, x) => nn.convBlock(s, x!, { filters: 3, stride: 2, transpose: true }),
      'resBlock, batch': (s, x) => nn.resBlock(s, x!, { norm: 'batch' }),
      'resBlock, dense, bottle': (s, x) => nn.resBlock(s, x!, { norm: 'instance', dense: true, bottle: true }),
      basicBlock: (s, x) => nn.basicBlock(s, x!, { filters: 6, stride: 2, zeroLast: true }),
      denseBlock: (s, x) => nn.denseBlock(s, x!, { layers: 2, growth: 2, dropout: 0.2 }),
      sequentialEx: (s, x) =>
        nn.sequentialEx(s, x!, [
          (one, h) => nn.convBlock(one, h, { filters: 4 }),
          (one, h, orig) => o.mul(nn.conv2d(one, h, { filters: 4 }), orig),
          nn.mergeLayer({ dense: true }),
        ]),
    },
    fine,
  ),
  ...on(
    picture,
    {
      'conv2d, spectral norm, evaluation': (s, x) => nn.conv2d(s, x!, { filters: 3, spectralNorm: true }),
      'selfAttention, spectral norm, evaluation': (s, x) => nn.selfAttention(s, x!, { spectralNorm: true }),
      'batchNorm, evaluation': (s, x) => nn.batchNorm(s, x!),
    },
    { training: false },
  ),
  ...on(sequence, {
    conv1d: (s, x) => nn.conv1d(s, x!, { filters: 4, kernel: 3, dilation: 2 }),
    'linear, three axes': (s, x) => nn.linear(s, x!, 6),
    variationalDropout: (s, x) => nn.variationalDropout(s, o.mul(x!, x!), 0.4),
    rnn: (s, x) => nn.rnn(s, x!, { hidden: 3, layers: 2 }).output,
    'gru, last state': (s, x) => nn.gru(s, x!, { hidden: 3, layers: 2, dropout: 0.3 }).hidden,
    'lstm, dropouts': (s, x) => nn.lstm(s, x!, { hidden: 3, layers: 2, dropout: 0.3, weightDrop: 0.4 }).output,
    'lstm, last cell': (s, x) => nn.lstm(s, x!, { hidden: 3, layers: 2 }).cell,
    'embedding with dropout': (s, x) =>
      o.mul(
        nn.embedding(s, labels(x!, [3, 5], [4, 0, 6, 6, 2, 1, 3, 4, 4, 0, 5, 2, 1, 1, 6]), {
          rows: 7,
          width: 4,
          dropout: 0.3,
        }),
        x!,
      ),
    'tied weights': (s, x) => {
      const words = nn.embedding(s, labels(x!, [3, 5], [4, 0, 6, 6, 2, 1, 3, 4, 4, 0, 5, 2, 1, 1, 6]), {
        rows: 7,
        width: 4,
      });
      return nn.linear(s, o.mul(words, x!), 7, { weight: s.values.get('weight')! });
    },
  }),
];

const scores = [2, 3, 4];
const some = [0, 1, 2, 2, 1, 1, 0, 2];
const functions = [
  ...on(scores, {
    crossEntropyLoss: (_, x) =>
      losses.crossEntropyLoss(x!, labels(x!, [2, 4], some), {
        ignoreIndex: 1,
        labelSmoothing: 0.1,
        classWeights: [1, 2, 3],
      }),
    focalLoss: (_, x) => losses.focalLoss(x!, labels(x!, [2, 4], some), { gamma: 1.5 }),
    diceLoss: (_, x) => losses.diceLoss(x!, labels(x!, [2, 4], some)),
    charbonnierLoss: (_, x) => losses.charbonnierLoss(x!, o.identity(o.mul(x!, 0.3)), 0.1),
    binaryDiceLoss: (_, x) => losses.binaryDiceLoss(x!, o.detach(o.cast(o.greater(x!, -2), 'float32'))),
    meanScore: (_, x) => losses.meanScore(o.mul(x!, x!)),
  }),
  ...Object.entries({
    huberLoss: losses.huberLoss,
    smoothL1Loss: (x: Value, y: Value) => losses.smoothL1Loss(x, y, 0.3),
    bceWithLogitsLoss: (x: Value, y: Value) => losses.bceWithLogitsLoss(x, y, { positiveWeight: 2 }),
    binaryFocalLoss: (x: Value, y: Value) => losses.binaryFocalLoss(x, y, { alpha: 0.3 }),
    wassersteinLoss: (x: Value, y: Value) => losses.wassersteinLoss(o.mul(x, x), y),
  }).map(([name, build]): LayerSample => ({ name, shapes: [scores, scores], build: (_, x, y) => build(x!, y!) })),
];

describe('grad: layers and losses against central differences, by inputs and parameters', () => {
  for (const sample of [...layers, ...functions]) {
    it(sample.name, async () => {
      expect(await layerGradientError(sample)).to.be.below(3e-3);
    });
  }

  it('a gradient that stops where it should not is noticed', async () => {
    const build: Build = (s, x) => {
      const layer = (y: Value): Value => s.share('tied', (own) => nn.linear(own, y, 3));
      return o.add(layer(o.detach(x!)), layer(x!));
    };
    expect(await layerGradientError({ name: 'detached', shapes: [[4, 3]], build })).to.be.above(0.02);
  });
});
