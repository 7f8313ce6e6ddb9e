import { channelsOf } from '../training/nn/common.ts';
import { kaimingNormal, uniformInit } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import type { Encoder, EncoderStage } from './encoder.ts';

/*
 * DenseNets (Huang et al. 2017) under torchvision's parameter names and with its initialisation, for any size of picture, number of
 * input channels and of classes.
 */

export interface DenseNetConfig {
  /** Channels that every layer of a block adds: DenseNet's k. */
  readonly growth: number;
  /** Layers of denseblock1, denseblock2, ...; a transition that halves size and channels stands between two blocks. */
  readonly blocks: readonly number[];
  /** Channels of the stem. */
  readonly width: number;
  readonly classes: number;
  /** Of what every layer adds. */
  readonly dropout: number;
}

/** torchvision's model: 7 978 856 parameters. */
export const denseNetConfigs = {
  densenet121: { growth: 32, blocks: [6, 12, 24, 16], width: 64, classes: 1000, dropout: 0 },
} as const satisfies Record<string, DenseNetConfig>;

type BodyConfig = Omit<DenseNetConfig, 'classes'>;

/** torchvision's first weights of convolutions. */
const init = kaimingNormal();

/** Channels behind each block, before its transition halves them. */
function widthsOf({ growth, blocks, width }: BodyConfig): readonly number[] {
  let channels = width;
  return blocks.map((layers, i) => {
    channels = (i === 0 ? channels : Math.floor(channels / 2)) + layers * growth;
    return channels;
  });
}

/** conv0, norm0, ReLU: [N,C,H,W] -> [N,width,H/2,W/2]. */
function stem(scope: Scope, x: Value, filters: number): Value {
  const convolved = scope.in('conv0', (s) => nn.conv2d(s, x, { filters, kernel: 7, stride: 2, bias: false, init }));
  return o.relu(scope.in('norm0', (s) => nn.batchNorm(s, convolved)));
}

/** x[N,C,H,W] -> the maps of {@link denseStages}: after the stem (1/2), and behind each block (1/4, 1/8, 1/16, 1/32), the last one normed. */
function denseFeatures(scope: Scope, x: Value, { growth, blocks, width, dropout }: BodyConfig): readonly Value[] {
  return scope.in('features', (features) => {
    const first = stem(features, x, width);
    const maps = [first];
    blocks.reduce(
      (y, layers, i) => {
        const dense = features.in(`denseblock${i + 1}`, (s) =>
          nn.denseBlock(s, y, { layers, growth, bottleneck: 4, dropout, init }),
        );
        if (i === blocks.length - 1) {
          maps.push(features.in(`norm${i + 2}`, (s) => nn.batchNorm(s, dense)));
          return dense;
        }
        maps.push(dense);
        return features.in(`transition${i + 1}`, (s) => nn.denseTransition(s, dense, { init }));
      },
      nn.maxPool(first, { kernel: 3, stride: 2, padding: 1 }),
    );
    return maps;
  });
}

/** Names, channels and reductions of {@link denseFeatures}. */
function denseStages(config: BodyConfig): readonly EncoderStage[] {
  const last = config.blocks.length;
  const name = (i: number): string => (i === last ? `features.norm${i + 1}` : `features.denseblock${i}`);
  return [
    { name: 'features.relu0', channels: config.width, reduction: 2 },
    ...widthsOf(config).map((channels, i) => ({ name: name(i + 1), channels, reduction: 4 * 2 ** i })),
  ];
}

/** The body of a DenseNet. As in fastai, the second group begins with the second transition. */
export function denseEncoder(config: BodyConfig): Encoder {
  const blocks = config.blocks.flatMap((_, i) => [`features.denseblock${i + 1}`, `features.transition${i + 1}`]);
  const split = Math.min(3, blocks.length - 2);
  return {
    stages: denseStages(config),
    features: (scope, x) => denseFeatures(scope, x, config),
    groups: [
      ['features.conv0', 'features.norm0', ...blocks.slice(0, split)],
      [...blocks.slice(split, -1), `features.norm${config.blocks.length + 1}`],
    ],
  };
}

/** denseNet: pictures f32[N,C,H,W], normalised -> scores (logits) f32[N,classes]. */
export function denseNet(scope: Scope, x: Value, config: DenseNetConfig): Value {
  const deepest = o.relu(denseFeatures(scope, x, config).at(-1)!);
  const pooled = o.reduceMean(deepest, { axes: [2, 3], keepdims: false });
  const bound = 1 / Math.sqrt(channelsOf(pooled, 'denseNet'));
  return scope.in('classifier', (s) => nn.linear(s, pooled, config.classes, { init: uniformInit(bound) }));
}
