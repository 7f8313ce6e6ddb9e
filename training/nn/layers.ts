import { ensure } from '../core/errors.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { constantInit, type Init, icnr, kaimingNormal, kaimingUniform, onesInit, zerosInit } from './init.ts';
import { randomUniform } from './random.ts';
import type { Scope } from './scope.ts';

const channelsOf = (x: Value, where: string): number => {
  const channels = x.shape[1];
  ensure(
    typeof channels === 'number',
    'bad-shape',
    () => `${where}: expected [N,C,...] with a known C, got ${showValue(x)}`,
  );
  return channels;
};

/** [1,C,1,...]: a per-channel vector [C] that broadcasts over x. */
const perChannel = (vector: Value, x: Value): Value =>
  o.reshape(
    vector,
    x.shape.map((_, i) => (i === 1 ? -1 : 1)),
  );

export interface Conv2dOptions {
  readonly filters: number;
  /** 3 when left out. */
  readonly kernel?: number;
  readonly stride?: number;
  /** "Same" for odd kernels at stride 1 when left out: (kernel - 1) / 2 * dilation. */
  readonly padding?: number;
  readonly dilation?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  /** Weight normalisation (Salimans & Kingma 2016): w = g v / |v|, with `weight_g` [K,1,1,1] and `weight_v`. */
  readonly weightNorm?: boolean;
  readonly init?: Init;
}

/**
 * w[K,...] = g v / |v|, the norm over everything but the first axis. Parameters `weight_g`, `weight_v`, as in PyTorch; an
 * exported graph holds the plain `weight`.
 */
export function weightNormed(scope: Scope, shape: readonly number[], init: Init): Value {
  const [nameG, nameV] = [scope.fullName('weight_g'), scope.fullName('weight_v')];
  const build = (): Value => {
    const v = scope.param('weight_v', shape, init);
    const startG: Init = ([filters], _seed, made) => filterNorms(made.get(nameV)!, filters!);
    const g = scope.param(
      'weight_g',
      shape.map((dim, i) => (i === 0 ? dim : 1)),
      startG,
      false,
    );
    const norm = o.sqrt(o.reduceSum(o.mul(v, v), { axes: shape.map((_, i) => i).slice(1), keepdims: true }));
    return o.mul(v, o.div(g, norm));
  };
  return scope.derived('weight', shape, build, (weights) => {
    const [g, v] = [weights.get(nameG), weights.get(nameV)];
    ensure(
      g !== undefined && v !== undefined,
      'bad-checkpoint',
      () => `weights: expected ${nameG} and ${nameV}, got neither or one; the weights belong to another model`,
    );
    const norms = filterNorms(v, shape[0]!);
    const length = v.length / g.length;
    return v.map((value, i) => (value * g[Math.floor(i / length)]!) / norms[Math.floor(i / length)]!);
  });
}

/** x[N,C,H,W] -> [N,filters,H',W']. Parameters `weight` [filters,C/groups,k,k] (or `weight_g`, `weight_v`) and `bias`. */
export function conv2d(scope: Scope, x: Value, options: Conv2dOptions): Value {
  const {
    filters,
    kernel = 3,
    stride = 1,
    dilation = 1,
    groups = 1,
    bias = true,
    weightNorm = false,
    init = kaimingNormal(),
  } = options;
  const shape = [filters, channelsOf(x, 'conv2d') / groups, kernel, kernel];
  const w = weightNorm ? weightNormed(scope, shape, init) : scope.param('weight', shape, init);
  const b = bias ? scope.param('bias', [filters], zerosInit) : undefined;
  return o.conv(x, w, b, { stride, dilation, groups, padding: options.padding ?? ((kernel - 1) / 2) * dilation });
}

/** x[N,C] -> [N,features]: x wᵀ + b. Parameters `weight` [features,C], `bias`. */
export function linear(
  scope: Scope,
  x: Value,
  features: number,
  { bias = true, init = kaimingUniform }: { readonly bias?: boolean; readonly init?: Init } = {},
): Value {
  const w = scope.param('weight', [features, channelsOf(x, 'linear')], init);
  return o.gemm(x, w, bias ? scope.param('bias', [features], zerosInit) : undefined, { transB: true });
}

export interface BatchNormOptions {
  readonly eps?: number;
  /** Share of the batch's statistics in the running ones; PyTorch's 0.1. */
  readonly momentum?: number;
  /** First value of the scale; fastai's BatchZero has 0. */
  readonly scale?: number;
  /** First value of the bias; fastai has 1e-3. */
  readonly shift?: number;
}

/**
 * Batch normalisation over every axis but the channels, composed of standard reductions. While training it uses the
 * batch's mean and biased variance, and keeps `running_mean` and (unbiased) `running_var`; else it uses those.
 * Parameters `weight`, `bias` [C]. Source: Ioffe & Szegedy 2015; PyTorch's conventions.
 */
export function batchNorm(
  scope: Scope,
  x: Value,
  { eps = 1e-5, momentum = 0.1, scale = 1, shift = 0 }: BatchNormOptions = {},
): Value {
  const channels = channelsOf(x, 'batchNorm');
  const gamma = scope.param('weight', [channels], () => new Float32Array(channels).fill(scale));
  const beta = scope.param('bias', [channels], constantInit(shift));
  const runningMean = scope.buffer('running_mean', [channels], zerosInit);
  const runningVar = scope.buffer('running_var', [channels], onesInit);
  const normalised = (centred: Value, variance: Value): Value =>
    o.add(o.mul(centred, o.div(perChannel(gamma, x), o.sqrt(o.add(variance, eps)))), perChannel(beta, x));
  if (!scope.training) return normalised(o.sub(x, perChannel(runningMean, x)), perChannel(runningVar, x));
  const axes = x.shape.flatMap((_, i) => (i === 1 ? [] : [i]));
  const count = staticShape(x.shape, 'batchNorm').reduce((product, dim, i) => (i === 1 ? product : product * dim), 1);
  const mean = o.reduceMean(x, { axes, keepdims: true });
  const centred = o.sub(x, mean);
  const variance = o.reduceMean(o.mul(centred, centred), { axes, keepdims: true });
  const blend = (running: Value, batch: Value): Value =>
    o.add(o.mul(running, 1 - momentum), o.mul(o.reshape(batch, [channels]), momentum));
  scope.update('running_mean', blend(runningMean, mean));
  scope.update('running_var', blend(runningVar, o.mul(variance, count / Math.max(count - 1, 1))));
  return normalised(centred, variance);
}

/** While training: zeroes each element with probability `p` and divides the rest by 1 - p. Else x. */
export function dropout(scope: Scope, x: Value, p: number): Value {
  ensure(p >= 0 && p < 1, 'bad-argument', () => `dropout: expected a probability in [0, 1), got ${p}`);
  if (!scope.training || p === 0) return x;
  const noise = randomUniform(scope.graph, staticShape(x.shape, 'dropout'), scope.nextRandomLayer());
  return o.mul(x, o.mul(o.cast(o.greaterOrEqual(noise, p), 'float32'), 1 / (1 - p)));
}

/** Gaussian error linear unit, exact: x Phi(x). */
export const gelu = (x: Value): Value => o.mul(o.mul(x, 0.5), o.add(o.erf(o.mul(x, Math.SQRT1_2)), 1));

/** x sigmoid(x), also called swish. */
export const silu = (x: Value): Value => o.mul(x, o.sigmoid(x));

/** low + (high - low) sigmoid(x): fastai's `y_range`. */
export const sigmoidRange = (x: Value, low: number, high: number): Value => o.add(o.mul(o.sigmoid(x), high - low), low);

/**
 * A 2 x 2 mean over every pixel and its upper and left neighbours, the border repeated: takes the grid out of a pixel
 * shuffle (Sugawara et al. 2018). Shape unchanged.
 */
export const blur2x2 = (x: Value): Value => o.averagePool(o.pad2d(x, [1, 1, 0, 0], 'edge'), { kernel: 2, stride: 1 });

export interface PixelShuffleOptions {
  readonly filters: number;
  /** 2 when left out. */
  readonly factor?: number;
  readonly blur?: boolean;
  readonly weightNorm?: boolean;
}

/** fastai's PixelShuffle_ICNR: x[N,C,H,W] -> 1x1 conv -> ReLU -> pixel shuffle -> (blur) -> [N,filters,H*factor,W*factor]. */
export function pixelShuffleIcnr(
  scope: Scope,
  x: Value,
  { filters, factor = 2, blur = false, weightNorm = true }: PixelShuffleOptions,
): Value {
  const wide = scope.in('conv', (s) =>
    conv2d(s, x, { filters: filters * factor ** 2, kernel: 1, weightNorm, init: icnr(factor) }),
  );
  const shuffled = o.pixelShuffle(o.relu(wide), factor);
  return blur ? blur2x2(shuffled) : shuffled;
}

/**
 * Self-attention over all positions (Zhang et al. 2018), as fastai has it: x[N,C,H,W] -> gamma * attended + x.
 * Sees the whole picture, so a model that has it cannot be tiled exactly. 1x1 convolutions `query`, `key` to C/8, `value`.
 */
export function selfAttention(scope: Scope, x: Value): Value {
  const [n, c, h, w] = staticShape(x.shape, 'selfAttention') as [number, number, number, number];
  const flat = o.reshape(x, [n, c, h * w]);
  const project = (name: string, filters: number): Value =>
    scope.in(name, (s) =>
      o.matmul(o.reshape(s.param('weight', [filters, c, 1], kaimingNormal(1)), [filters, c]), flat),
    );
  const query = project('query', Math.max(1, Math.floor(c / 8)));
  const key = project('key', Math.max(1, Math.floor(c / 8)));
  const value = project('value', c);
  const attention = o.softmax(o.matmul(o.transpose(query, [0, 2, 1]), key), 1);
  const gamma = scope.param('gamma', [1], zerosInit);
  return o.add(o.reshape(o.mul(o.matmul(value, attention), gamma), [n, c, h, w]), x);
}

/** A residual block: x + conv(relu(conv(x))), ReLU after each convolution as fastai's `res_block`, channels unchanged. */
export function resBlock(
  scope: Scope,
  x: Value,
  { weightNorm = false }: { readonly weightNorm?: boolean } = {},
): Value {
  const filters = channelsOf(x, 'resBlock');
  const one = o.relu(scope.in('conv1', (s) => conv2d(s, x, { filters, weightNorm })));
  const two = o.relu(scope.in('conv2', (s) => conv2d(s, one, { filters, weightNorm })));
  return o.add(x, two);
}

/** |v| of each filter of v[K,...], flattened. */
export function filterNorms(v: Float32Array, filters: number): Float32Array {
  const length = v.length / filters;
  return Float32Array.from({ length: filters }, (_, k) => Math.hypot(...v.subarray(k * length, (k + 1) * length)));
}
