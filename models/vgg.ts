import { kaimingNormal, normalInit } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import type { Encoder, EncoderStage } from './encoder.ts';

/*
 * VGG with batch norm (Simonyan & Zisserman 2015; Ioffe & Szegedy 2015) under torchvision's parameter names and with its
 * initialisation, for any size of picture from 32 pixels, number of input channels and of classes.
 */

export interface VggConfig {
  /** Channels of the 3x3 convolutions of each block; a max-pool of 2 follows every block. */
  readonly blocks: readonly (readonly number[])[];
  /** Features of the two hidden layers of the head. */
  readonly hidden: number;
  readonly classes: number;
  /** Probability in front of the head's second and third layer. */
  readonly dropout: number;
}

/** torchvision's model: 138 365 992 parameters. */
export const vggConfigs = {
  vgg16_bn: {
    blocks: [
      [64, 64],
      [128, 128],
      [256, 256, 256],
      [512, 512, 512],
      [512, 512, 512],
    ],
    hidden: 4096,
    classes: 1000,
    dropout: 0.5,
  },
} as const satisfies Record<string, VggConfig>;

/** torchvision's first weights of convolutions. */
const convInit = kaimingNormal(Math.SQRT2, 'out');
const linearInit = normalInit(0.01);

/** Side of the picture that the head sees. */
const pooledSide = 7;

/** Index in torchvision's `features` of the first layer of each block, and of what would follow. A convolution takes three (conv, norm, ReLU), a pool one. */
function startsOf(blocks: VggConfig['blocks']): readonly number[] {
  const starts = [0];
  for (const block of blocks) starts.push(starts.at(-1)! + 3 * block.length + 1);
  return starts;
}

/** conv, norm, ReLU of one block, in the scopes `start`, `start + 1`, ... */
function convolutions(scope: Scope, x: Value, block: readonly number[], start: number): Value {
  return block.reduce((y, filters, i) => {
    const convolved = scope.in(start + 3 * i, (s) => nn.conv2d(s, y, { filters, init: convInit }));
    return o.relu(scope.in(start + 3 * i + 1, (s) => nn.batchNorm(s, convolved)));
  }, x);
}

/** x[N,C,H,W] -> the maps of {@link vggStages}: before each max-pool (1, 1/2, ... 1/16) and after the last (1/32). */
function vggFeatures(scope: Scope, x: Value, { blocks }: Pick<VggConfig, 'blocks'>): readonly Value[] {
  const starts = startsOf(blocks);
  const maps: Value[] = [];
  const last = scope.in('features', (s) =>
    blocks.reduce((y, block, i) => {
      const map = convolutions(s, y, block, starts[i]!);
      maps.push(map);
      return nn.maxPool(map, { kernel: 2, stride: 2 });
    }, x),
  );
  return [...maps, last];
}

/** Names, channels and reductions of {@link vggFeatures}: of vgg16_bn `features.5`, `.12`, `.22`, `.32`, `.42`, `.43`. */
function vggStages({ blocks }: Pick<VggConfig, 'blocks'>): readonly EncoderStage[] {
  const pools = startsOf(blocks)
    .slice(1)
    .map((start) => start - 1);
  const maps = blocks.map((block, i) => {
    return { name: `features.${pools[i]! - 1}`, channels: block.at(-1)!, reduction: 2 ** i };
  });
  const channels = blocks.at(-1)!.at(-1)!;
  return [...maps, { name: `features.${pools.at(-1)!}`, channels, reduction: 2 ** blocks.length }];
}

/** The body of a VGG. As in fastai, the second group is the last two blocks. */
export function vggEncoder(config: Pick<VggConfig, 'blocks'>): Encoder {
  const starts = startsOf(config.blocks);
  const split = starts.at(-3)!;
  const names = Array.from({ length: starts.at(-1)! }, (_, i) => `features.${i}`);
  return {
    stages: vggStages(config),
    features: (scope, x) => vggFeatures(scope, x, config),
    groups: [names.slice(0, split), names.slice(split)],
  };
}

/** The three linear layers in torchvision's scopes `0`, `3`, `6`: [N,features] -> [N,classes]. */
function classifier(scope: Scope, x: Value, { hidden, classes, dropout }: VggConfig): Value {
  const linear = (index: number, h: Value, features: number): Value =>
    scope.in(index, (s) => nn.linear(s, h, features, { init: linearInit }));
  const one = nn.dropout(scope, o.relu(linear(0, x, hidden)), dropout);
  const two = nn.dropout(scope, o.relu(linear(3, one, hidden)), dropout);
  return linear(6, two, classes);
}

/** vgg: pictures f32[N,C,H,W], normalised, H and W at least 32 -> scores (logits) f32[N,classes]. Static shapes. */
export function vgg(scope: Scope, x: Value, config: VggConfig): Value {
  const deepest = vggFeatures(scope, x, config).at(-1)!;
  const pooled = nn.flatten(nn.adaptiveAveragePool(deepest, pooledSide));
  return scope.in('classifier', (s) => classifier(s, pooled, config));
}
