import { ensure } from '../training/core/errors.ts';
import { imagenetStatistics, type Statistics } from '../training/core/image.ts';
import { channelConstant, normaliseChannels } from '../training/nn/common.ts';
import { kaimingNormal } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';

export interface RestoreUnetConfig {
  /** Channels at 1/2, 1/4, 1/8 ... of the picture's size. */
  readonly widths: readonly number[];
  /** Residual blocks at each of those sizes. */
  readonly blocks: readonly number[];
  /** Channels at full size, before the picture itself is concatenated (`last_cross`). */
  readonly headWidth: number;
  /** 2x2 blur behind every pixel shuffle. */
  readonly blur: boolean;
  /** Self-attention at the deepest size; such a model sees the whole picture and cannot be tiled. */
  readonly selfAttention: boolean;
  /** Range of what the net adds to the picture, in units of the normalised picture: fastai's `y_range`. */
  readonly yRange: readonly [number, number];
  readonly normalisation: Statistics;
}

/** The default of `fettle train restore`. ImageNet's statistics, as in the lesson. */
export const restoreUnetDefaults: RestoreUnetConfig = {
  widths: [32, 64, 128],
  blocks: [2, 2, 2],
  headWidth: 13,
  blur: true,
  selfAttention: false,
  yRange: [-3, 3],
  normalisation: imagenetStatistics,
};

/**
 * How far, in pixels, an output pixel sees: the sum over all layers of their reach times the size of their pixels,
 * rounded up to {@link unetMultiple}. Tiles that overlap by this much give the untiled picture.
 */
export function unetHalo({ widths, blocks, blur }: RestoreUnetConfig): number {
  const perUp = (pixel: number): number => pixel * (1 + (blur ? 1 : 0) + 2);
  const levels = widths.map((_, i) => {
    const pixel = 2 ** (i + 1);
    const down = i === 0 ? 2 : pixel / 2;
    return down + 2 * blocks[i]! * pixel + (i === widths.length - 1 ? 2 * pixel : perUp(pixel));
  });
  const radius = levels.reduce((sum, reach) => sum + reach, perUp(1));
  const multiple = 2 ** widths.length;
  return Math.ceil(radius / multiple) * multiple;
}

/** H and W of the input must be multiples of this. */
export const unetMultiple = (config: RestoreUnetConfig): number => 2 ** config.widths.length;

/** relu(conv(x)), weight-normalised. */
const convRelu = (scope: Scope, x: Value, filters: number): Value =>
  o.relu(nn.conv2d(scope, x, { filters, weightNorm: true }));

/** x + conv(relu(conv(x))) without norm or a last ReLU (Lim et al. 2017, EDSR). */
function plainResBlock(scope: Scope, x: Value): Value {
  const filters = x.shape[1] as number;
  const inner = scope.in('conv1', (s) => convRelu(s, x, filters));
  return o.add(
    x,
    scope.in('conv2', (s) => nn.conv2d(s, inner, { filters, weightNorm: true })),
  );
}

/** Halves the size (a 4x4 stem, then 2x2 patches), then the level's residual blocks. */
function encoderLevel(scope: Scope, x: Value, filters: number, blocks: number, kernel: number): Value {
  const down = scope.in('down', (s) =>
    nn.conv2d(s, x, { filters, kernel, stride: 2, padding: (kernel - 2) / 2, weightNorm: true }),
  );
  return Array.from({ length: blocks }).reduce<Value>(
    (value, _, i) => scope.in(i, (s) => plainResBlock(s, value)),
    down,
  );
}

/** Doubles the size of `x`, joins `skip`, two convolutions: fastai's UnetBlock without batch norm. */
function decoderLevel(scope: Scope, x: Value, skip: Value, blur: boolean): Value {
  const filters = skip.shape[1] as number;
  const up = scope.in('shuf', (s) => nn.pixelShuffleIcnr(s, x, { filters, blur }));
  const joined = o.relu(o.concat([up, skip], 1));
  const one = scope.in('conv1', (s) => convRelu(s, joined, filters));
  return scope.in('conv2', (s) => convRelu(s, one, filters));
}

/**
 * restoreUnet: image f32[N,3,H,W] sRGB 0..1 -> f32[N,3,H,W], about 0..1, not clipped. H, W multiples of
 * {@link unetMultiple}. A U-Net with its own small encoder, pixel-shuffle upsampling with ICNR and blur, weight norm,
 * `last_cross` and a `y_range` sigmoid; what it computes is added to the picture, so that it starts as the identity.
 */
export function restoreUnet(scope: Scope, image: Value, config: RestoreUnetConfig = restoreUnetDefaults): Value {
  const { widths, blocks, normalisation, yRange } = config;
  ensure(
    widths.length > 0 && widths.length === blocks.length,
    'bad-argument',
    () => `restoreUnet: expected as many widths as blocks, got [${widths}] and [${blocks}]`,
  );
  const std = channelConstant(image, normalisation.std);
  const x = normaliseChannels(image, normalisation);
  const skips: Value[] = [];
  const deepest = widths.reduce((value, width, i) => {
    if (i > 0) skips.push(value);
    return scope.in(`encoder.${i}`, (s) => encoderLevel(s, value, width, blocks[i]!, i === 0 ? 4 : 2));
  }, x);
  const width = widths.at(-1)!;
  const wide = scope.in('middle.0', (s) => convRelu(s, o.relu(deepest), 2 * width));
  const narrow = scope.in('middle.1', (s) => convRelu(s, wide, width));
  const middle = config.selfAttention ? scope.in('attention', (s) => nn.selfAttention(s, narrow)) : narrow;
  const up = skips
    .reverse()
    .reduce((value, skip, i) => scope.in(`decoder.${i}`, (s) => decoderLevel(s, value, skip, config.blur)), middle);
  const full = scope.in('last.shuf', (s) =>
    nn.pixelShuffleIcnr(s, up, { filters: config.headWidth, blur: config.blur }),
  );
  const crossed = scope.in('last.cross', (s) => nn.resBlock(s, o.concat([full, x], 1), { weightNorm: true }));
  const head = scope.in('head', (s) => nn.conv2d(s, crossed, { filters: 3, kernel: 1, init: kaimingNormal(0.02) }));
  const change = nn.sigmoidRange(head, yRange[0], yRange[1]);
  return o.add(image, o.mul(change, std));
}
