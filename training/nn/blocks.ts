import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { sameShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { selfAttention } from './attention.ts';
import { channelsOf } from './common.ts';
import { conv1d, conv2d, convTranspose2d } from './conv.ts';
import type { Init } from './init.ts';
import { batchNorm, instanceNorm } from './norm.ts';
import type { Scope } from './scope.ts';

/** A part of a model; `orig` is what the {@link sequentialEx} around it was given. */
export type Layer = (scope: Scope, x: Value, orig: Value) => Value;

/** The layers one after the other, in the scopes `0`, `1`, ...; each also gets the input of the whole: fastai's SequentialEx. */
export const sequentialEx = (scope: Scope, x: Value, layers: readonly Layer[]): Value =>
  layers.reduce((y, layer, i) => scope.in(i, (s) => layer(s, y, x)), x);

/** x + orig, or with `dense` both beside each other along the channels: fastai's MergeLayer. Throws `bad-shape`. */
export const mergeLayer =
  ({ dense = false }: { readonly dense?: boolean } = {}): Layer =>
  (_scope, x, orig) =>
    merge(x, orig, dense);

function merge(x: Value, orig: Value, dense: boolean): Value {
  if (dense) return o.concat([x, orig], 1);
  ensure(
    sameShape(x.shape, orig.shape),
    'bad-shape',
    () => `mergeLayer: expected equal shapes to add, got ${showValue(x)} and ${showValue(orig)}; or merge densely`,
  );
  return o.add(x, orig);
}

/** How a block keeps its activations in bounds: a norm of them (batch, instance) or of the weights. */
export type BlockNorm = 'none' | 'batch' | 'batchZero' | 'instance' | 'weight' | 'spectral';

/** fastai's first bias of a batch norm. */
const shift = 1e-3;

/** The norm of the activations in scope `name`; x for norms of weights. */
function normalise(scope: Scope, name: string, x: Value, norm: BlockNorm): Value {
  if (norm === 'instance') return scope.in(name, (s) => instanceNorm(s, x));
  if (norm !== 'batch' && norm !== 'batchZero') return x;
  return scope.in(name, (s) => batchNorm(s, x, { shift, scale: norm === 'batch' ? 1 : 0 }));
}

const isActivationNorm = (norm: BlockNorm): boolean => norm === 'batch' || norm === 'batchZero' || norm === 'instance';

export interface ConvBlockOptions {
  readonly filters: number;
  /** 3 by default. */
  readonly kernel?: number;
  readonly stride?: number;
  /** (kernel - 1) / 2, rounded down, by default; 0 for a transposed convolution. */
  readonly padding?: number;
  /** `batch` by default. */
  readonly norm?: BlockNorm;
  /** ReLU (true), leaky ReLU of this slope, or none (false). */
  readonly activation?: boolean | number;
  /** Only where no norm of the activations adds one, by default. */
  readonly bias?: boolean;
  /** conv -> norm -> activation as in fastai v2, not conv -> activation -> norm as in v1 and the lessons. */
  readonly normFirst?: boolean;
  readonly transpose?: boolean;
  readonly selfAttention?: boolean;
  /** First weights of the convolution; {@link conv2d}'s by default. */
  readonly init?: Init;
}

const convBlockNames = namesOf<ConvBlockOptions>({
  filters: true,
  kernel: true,
  stride: true,
  padding: true,
  norm: true,
  activation: true,
  bias: true,
  normFirst: true,
  transpose: true,
  selfAttention: true,
  init: true,
});

function activated(x: Value, activation: boolean | number): Value {
  if (activation === false) return x;
  return activation === true ? o.relu(x) : o.leakyRelu(x, activation);
}

/**
 * fastai's conv_layer: convolution, activation, norm, then perhaps self-attention; x[N,C,H,W] or [N,C,L] -> [N,filters,...].
 * Parameters in the scopes `conv`, `norm`, `attention`.
 */
export function convBlock(scope: Scope, x: Value, options: ConvBlockOptions): Value {
  knownKeys('convBlock', options, convBlockNames);
  const { filters, kernel = 3, stride = 1, norm = 'batch', activation = true, normFirst = false } = options;
  const bias = options.bias ?? !isActivationNorm(norm);
  const given = {
    ...(options.padding === undefined ? {} : { padding: options.padding }),
    ...(options.init === undefined ? {} : { init: options.init }),
  };
  const y = scope.in('conv', (s) => {
    if (options.transpose) return convTranspose2d(s, x, { filters, kernel, stride, bias, ...given });
    const conv = x.shape.length === 3 ? conv1d : conv2d;
    const norms = { weightNorm: norm === 'weight', spectralNorm: norm === 'spectral' };
    return conv(s, x, { filters, kernel, stride, bias, ...given, ...norms });
  });
  const z = normFirst
    ? activated(normalise(scope, 'norm', y, norm), activation)
    : normalise(scope, 'norm', activated(y, activation), norm);
  return options.selfAttention ? scope.in('attention', (s) => selfAttention(s, z)) : z;
}

export interface ResBlockOptions {
  /** The same as norm `weight`. */
  readonly weightNorm?: boolean;
  /** `none` by default. With `batch`, the second norm starts at zero unless the block is dense: fastai's BatchZero. */
  readonly norm?: BlockNorm;
  /** Concatenates instead of adding: C channels become 2C. */
  readonly dense?: boolean;
  /** Half the channels between the two convolutions. */
  readonly bottle?: boolean;
}

const resBlockNames = namesOf<ResBlockOptions>({ weightNorm: true, norm: true, dense: true, bottle: true });

/**
 * A residual block: x + conv(relu(conv(x))), ReLU after each convolution as fastai's `res_block`, channels unchanged (twice as
 * many when dense). Parameters in the scopes `conv1`, `conv2`, and `norm1`, `norm2` with a norm of the activations.
 */
export function resBlock(scope: Scope, x: Value, options: ResBlockOptions = {}): Value {
  knownKeys('resBlock', options, resBlockNames);
  const { weightNorm = false, dense = false, bottle = false } = options;
  const norm = weightNorm ? 'weight' : (options.norm ?? 'none');
  const channels = channelsOf(x, 'resBlock');
  const bias = !isActivationNorm(norm);
  const layer = (index: number, h: Value, filters: number, own: BlockNorm): Value => {
    const y = scope.in(`conv${index}`, (s) =>
      conv2d(s, h, { filters, bias, weightNorm: norm === 'weight', spectralNorm: norm === 'spectral' }),
    );
    return normalise(scope, `norm${index}`, o.relu(y), own);
  };
  const one = layer(1, x, bottle ? Math.floor(channels / 2) : channels, norm);
  const two = layer(2, one, channels, norm === 'batch' && !dense ? 'batchZero' : norm);
  return dense ? merge(two, x, true) : o.add(x, two);
}

export interface ResNetBlockOptions {
  /** Channels of the convolutions inside; the bottleneck gives out four times as many. */
  readonly filters: number;
  /** Of the (second, for a bottleneck) convolution and the shortcut. */
  readonly stride?: number;
  /** Whether the last norm starts at zero, so that the block starts as its shortcut (Goyal et al. 2017). */
  readonly zeroLast?: boolean;
  /** Of the convolutions; {@link conv2d}'s by default. */
  readonly init?: Init;
}

const resNetNames = namesOf<ResNetBlockOptions>({ filters: true, stride: true, zeroLast: true, init: true });

type Step = readonly [kernel: number, filters: number, stride: number];

/** conv-bn-ReLU steps in the scopes conv1, bn1, ..., the last ReLU after the shortcut was added. */
function residual(scope: Scope, x: Value, steps: readonly Step[], options: ResNetBlockOptions): Value {
  knownKeys('residual block', options, resNetNames);
  const { stride = 1, zeroLast = false, init } = options;
  const conv = (s: Scope, h: Value, [kernel, filters, step]: Step): Value =>
    conv2d(s, h, { filters, kernel, stride: step, bias: false, ...(init ? { init } : {}) });
  const out = steps.at(-1)![1];
  const branch = steps.reduce((h, step, i) => {
    const wide = scope.in(`conv${i + 1}`, (s) => conv(s, h, step));
    const scale = zeroLast && i === steps.length - 1 ? 0 : 1;
    const y = scope.in(`bn${i + 1}`, (s) => batchNorm(s, wide, { scale }));
    return i === steps.length - 1 ? y : o.relu(y);
  }, x);
  if (stride === 1 && channelsOf(x, 'residual block') === out) return o.relu(o.add(branch, x));
  const shortcut = scope.in('downsample', (s) => {
    const projected = s.in(0, (one) => conv(one, x, [1, out, stride]));
    return s.in(1, (one) => batchNorm(one, projected));
  });
  return o.relu(o.add(branch, shortcut));
}

/** ResNet-18's and -34's block (He et al. 2016): two 3x3 convolutions. x[N,C,H,W] -> [N,filters,H/stride,W/stride]; torchvision's names. */
export function basicBlock(scope: Scope, x: Value, options: ResNetBlockOptions): Value {
  const { filters, stride = 1 } = options;
  const steps: readonly Step[] = [
    [3, filters, stride],
    [3, filters, 1],
  ];
  return residual(scope, x, steps, options);
}

/** ResNet-50's block (He et al. 2016; the stride on the 3x3 as in torchvision): 1x1, 3x3, 1x1. -> [N,4*filters,...]; torchvision's names. */
export function bottleneckBlock(scope: Scope, x: Value, options: ResNetBlockOptions): Value {
  const { filters, stride = 1 } = options;
  const steps: readonly Step[] = [
    [1, filters, 1],
    [3, filters, stride],
    [1, 4 * filters, 1],
  ];
  return residual(scope, x, steps, options);
}
