import { ensure } from '../training/core/errors.ts';
import { channelsOf } from '../training/nn/common.ts';
import { icnr } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import type { Encoder } from './encoder.ts';

/*
 * fastai v1's DynamicUnet: a decoder for any encoder. Every map that the encoder gives out before its size changes is joined again
 * on the way up, so the decoder is as deep as the encoder needs.
 */

export interface DynamicUnetConfig {
  /** Channels of the result: classes, or 3 for a picture. */
  readonly classes: number;
  /** 2x2 blur behind the pixel shuffles of the blocks; none by default. */
  readonly blur?: boolean;
  /** Whether the last block blurs too, where `blur` is on; true by default. */
  readonly blurFinal?: boolean;
  /** Self-attention behind the third block from the end. Such a model has static shapes and cannot be tiled. */
  readonly selfAttention?: boolean;
  /** Joins the picture itself at the end and adds a residual block; true by default. */
  readonly lastCross?: boolean;
  /** Half the channels inside that block. */
  readonly bottle?: boolean;
  /** Of the decoder's convolutions; `none` by default, as in fastai's `unet_learner`. */
  readonly norm?: nn.BlockNorm;
  /** Squeezes the result into this range by a sigmoid. */
  readonly yRange?: readonly [number, number];
}

/** fastai's first bias of batch norms. */
const shift = 1e-3;

const normOf = ({ norm = 'none' }: DynamicUnetConfig): nn.BlockNorm => norm;

/** fastai's PixelShuffle_ICNR with the net's norm: x[N,C,H,W] -> [N,filters,2H,2W]. */
function shuffleUp(scope: Scope, x: Value, filters: number, norm: nn.BlockNorm, blur: boolean): Value {
  const wide = nn.convBlock(scope, x, { filters: 4 * filters, kernel: 1, norm, activation: false, init: icnr(2) });
  const shuffled = nn.pixelShuffle(scope, o.relu(wide));
  return blur ? nn.blur2x2(shuffled) : shuffled;
}

/** What one block of the decoder does. */
interface BlockPlan {
  readonly filters: number;
  readonly blur: boolean;
  readonly attention: boolean;
  readonly norm: nn.BlockNorm;
}

/** fastai's UnetBlock: doubles the size of x, joins the normed skip, ReLU, two convolutions -> [N,filters,size of the skip]. */
function unetBlock(scope: Scope, x: Value, skip: Value, { filters, blur, attention, norm }: BlockPlan): Value {
  const half = Math.floor(channelsOf(x, 'unetBlock') / 2);
  const up = scope.in('shuf', (s) => shuffleUp(s, x, half, norm, blur));
  const normed = scope.in('bn', (s) => nn.batchNorm(s, skip, { shift }));
  const joined = o.relu(o.concat([nn.resizeLike(scope, up, skip), normed], 1));
  const one = scope.in('conv1', (s) => nn.convBlock(s, joined, { filters, norm }));
  const two = scope.in('conv2', (s) => nn.convBlock(s, one, { filters, norm }));
  return attention ? scope.in('attention', (s) => nn.selfAttention(s, two, { spectralNorm: true })) : two;
}

/** From the encoder's deepest map: BN, ReLU and the middle convolutions ni -> 2 ni -> ni. */
function middle(scope: Scope, deepest: Value, norm: nn.BlockNorm): Value {
  const channels = channelsOf(deepest, 'dynamicUnet');
  const active = o.relu(scope.in('bn', (s) => nn.batchNorm(s, deepest, { shift })));
  return scope.in('middle', (s) => {
    const wide = s.in(0, (one) => nn.convBlock(one, active, { filters: 2 * channels, norm }));
    return s.in(1, (one) => nn.convBlock(one, wide, { filters: channels, norm }));
  });
}

/** The blocks `decoder.0`, `decoder.1`, ... over the skips, smallest map first. The last one halves its channels. */
function decoder(scope: Scope, x: Value, skips: readonly Value[], config: DynamicUnetConfig): Value {
  const { blur = false, blurFinal = true, selfAttention = false } = config;
  return skips.reduce((y, skip, i) => {
    const last = i === skips.length - 1;
    const joined = Math.floor(channelsOf(y, 'dynamicUnet') / 2) + channelsOf(skip, 'dynamicUnet');
    const plan: BlockPlan = {
      filters: last ? Math.floor(joined / 2) : joined,
      blur: blur && (!last || blurFinal),
      attention: selfAttention && i === skips.length - 3,
      norm: normOf(config),
    };
    return scope.in(i, (s) => unetBlock(s, y, skip, plan));
  }, x);
}

/**
 * dynamicUnet: x f32[N,C,H,W], normalised -> f32[N,classes,H,W], raw scores unless `yRange` is given. Parameters `encoder.*` (under
 * torchvision's names), `bn`, `middle.*`, `decoder.*`, `last.*`, `head.*`. Any H and W that the encoder takes, odd ones too.
 */
export function dynamicUnet(scope: Scope, x: Value, encoder: Encoder, config: DynamicUnetConfig): Value {
  const { lastCross = true, bottle = false, yRange } = config;
  const norm = normOf(config);
  const maps = scope.in('encoder', (s) => encoder.features(s, x));
  ensure(maps.length > 1, 'bad-argument', () => {
    return `dynamicUnet: expected an encoder with at least two sizes, got ${maps.length}`;
  });
  const skips = maps.slice(0, -1).reverse();
  const deepest = middle(scope, maps.at(-1)!, norm);
  const up = scope.in('decoder', (s) => decoder(s, deepest, skips, config));
  const full =
    encoder.stages[0]!.reduction === 1
      ? up
      : scope.in('last.shuf', (s) => shuffleUp(s, up, channelsOf(up, 'dynamicUnet'), norm, false));
  const sized = nn.resizeLike(scope, full, x);
  const crossed = lastCross
    ? scope.in('last.cross', (s) => nn.resBlock(s, o.concat([sized, x], 1), { bottle, norm }))
    : sized;
  const scores = scope.in('head', (s) =>
    nn.convBlock(s, crossed, { filters: config.classes, kernel: 1, norm, activation: false }),
  );
  return yRange === undefined ? scores : nn.sigmoidRange(scores, yRange[0], yRange[1]);
}

/** Prefixes of parameter names for `splitByPrefix`: the encoder's early and late layers; the decoder is the group after them. */
export const unetGroups = (encoder: Encoder): readonly (readonly string[])[] =>
  encoder.groups.map((names) => names.map((name) => `encoder.${name}`));
