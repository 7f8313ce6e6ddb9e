import { kaimingNormal, uniformInit } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import type { Encoder, EncoderStage } from './encoder.ts';

/*
 * ResNets (He et al. 2016) under torchvision's parameter names and with its initialisation, for any size of picture, number of
 * input channels and of classes.
 */

export interface ResNetConfig {
  readonly block: 'basic' | 'bottleneck';
  /** Blocks of layer1, layer2, ...; each layer but the first halves the size. */
  readonly depths: readonly number[];
  /** Channels of the stem, and inside the blocks of layer1; doubled by each later layer. */
  readonly width: number;
  readonly classes: number;
  /** Whether each block starts as its shortcut (Goyal et al. 2017); torchvision's `zero_init_residual`. */
  readonly zeroLast: boolean;
}

const shared = { width: 64, classes: 1000, zeroLast: false } as const;

/** torchvision's models: 11 689 512, 21 797 672 and 25 557 032 parameters. */
export const resnetConfigs = {
  resnet18: { ...shared, block: 'basic', depths: [2, 2, 2, 2] },
  resnet34: { ...shared, block: 'basic', depths: [3, 4, 6, 3] },
  resnet50: { ...shared, block: 'bottleneck', depths: [3, 4, 6, 3] },
} as const satisfies Record<string, ResNetConfig>;

/** torchvision's first weights of convolutions. */
const init = kaimingNormal(Math.SQRT2, 'out');

type BodyConfig = Pick<ResNetConfig, 'block' | 'depths' | 'width'>;

/** Channels inside and after layer i, counted from 0. */
function widthsOf({ block, width }: BodyConfig, i: number): { readonly filters: number; readonly channels: number } {
  const filters = width * 2 ** i;
  return { filters, channels: block === 'basic' ? filters : 4 * filters };
}

/** conv1, bn1, ReLU: [N,C,H,W] -> [N,width,H/2,W/2]. */
function stem(scope: Scope, x: Value, filters: number): Value {
  const convolved = scope.in('conv1', (s) => nn.conv2d(s, x, { filters, kernel: 7, stride: 2, bias: false, init }));
  return o.relu(scope.in('bn1', (s) => nn.batchNorm(s, convolved)));
}

/** The blocks 0, 1, ... of one layer. */
function layer(scope: Scope, x: Value, config: ResNetConfig, i: number): Value {
  const block = config.block === 'basic' ? nn.basicBlock : nn.bottleneckBlock;
  const { filters } = widthsOf(config, i);
  return Array.from({ length: config.depths[i]! }).reduce<Value>((y, _, j) => {
    const stride = i > 0 && j === 0 ? 2 : 1;
    return scope.in(j, (s) => block(s, y, { filters, stride, zeroLast: config.zeroLast, init }));
  }, x);
}

/** x[N,C,H,W] -> the maps of {@link resnetStages}: after the stem (1/2), layer1 (1/4), layer2 (1/8), layer3, layer4 (1/32). */
function resnetFeatures(scope: Scope, x: Value, config: ResNetConfig): readonly Value[] {
  const first = stem(scope, x, config.width);
  const maps = [first];
  config.depths.reduce(
    (y, _, i) => {
      const map = scope.in(`layer${i + 1}`, (s) => layer(s, y, config, i));
      maps.push(map);
      return map;
    },
    nn.maxPool(first, { kernel: 3, stride: 2, padding: 1 }),
  );
  return maps;
}

/** Names, channels and reductions of {@link resnetFeatures}. */
const resnetStages = (config: BodyConfig): readonly EncoderStage[] => [
  { name: 'relu', channels: config.width, reduction: 2 },
  ...config.depths.map((_, i) => {
    return { name: `layer${i + 1}`, channels: widthsOf(config, i).channels, reduction: 4 * 2 ** i };
  }),
];

/** The body of a ResNet. */
export function resnetEncoder(config: ResNetConfig): Encoder {
  const layers = config.depths.map((_, i) => `layer${i + 1}`);
  return {
    stages: resnetStages(config),
    features: (scope, x) => resnetFeatures(scope, x, config),
    groups: [['conv1', 'bn1', ...layers.slice(0, 2)], layers.slice(2)],
  };
}

/** resnet: pictures f32[N,C,H,W], normalised -> scores (logits) f32[N,classes]. */
export function resnet(scope: Scope, x: Value, config: ResNetConfig): Value {
  const deepest = resnetFeatures(scope, x, config).at(-1)!;
  const pooled = o.reduceMean(deepest, { axes: [2, 3], keepdims: false });
  const bound = 1 / Math.sqrt(pooled.shape[1] as number);
  return scope.in('fc', (s) => nn.linear(s, pooled, config.classes, { biasInit: uniformInit(bound) }));
}
