import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { channelsOf, perChannel } from './common.ts';
import { constantInit, onesInit, zerosInit } from './init.ts';
import type { Scope } from './scope.ts';

/*
 * Every norm is composed of means, products and a root: ONNX's own normalisation operators have no training mode on some
 * providers, and on WebGPU lose all digits where the mean is far larger than the deviation.
 */

export interface BatchNormOptions {
  readonly eps?: number;
  /** Share of the batch's statistics in the running ones; PyTorch's 0.1. */
  readonly momentum?: number;
  /** First value of the scale; fastai's BatchZero has 0. */
  readonly scale?: number;
  /** First value of the bias; fastai's layers have 1e-3. */
  readonly shift?: number;
}

const batchNames = namesOf<BatchNormOptions>({ eps: true, momentum: true, scale: true, shift: true });

/**
 * Batch normalisation of x[N,C,...] over every axis but the channels. While training it uses the
 * batch's mean and biased variance, and keeps `running_mean` and (unbiased) `running_var`; else it uses those.
 * Parameters `weight`, `bias` [C]. Source: Ioffe & Szegedy 2015; PyTorch's conventions.
 */
export function batchNorm(scope: Scope, x: Value, options: BatchNormOptions = {}): Value {
  knownKeys('batchNorm', options, batchNames);
  const { eps = 1e-5, momentum = 0.1, scale = 1, shift = 0 } = options;
  const channels = channelsOf(x, 'batchNorm');
  const gamma = scope.param('weight', [channels], constantInit(scale));
  const beta = scope.param('bias', [channels], constantInit(shift));
  const runningMean = scope.buffer('running_mean', [channels], zerosInit);
  const runningVar = scope.buffer('running_var', [channels], onesInit);
  if (!scope.training) {
    const factor = o.div(perChannel(gamma, x), o.sqrt(o.add(perChannel(runningVar, x), eps)));
    return o.add(o.mul(o.sub(x, perChannel(runningMean, x)), factor), perChannel(beta, x));
  }
  // A norm that is used several times in one pass continues from what its last use left.
  const mean0 = scope.latest('running_mean', runningMean);
  const var0 = scope.latest('running_var', runningVar);
  const { y, mean, variance, count } = normalisedBatch(x, gamma, beta, eps);
  const blend = (running: Value, batch: Value): Value =>
    o.add(o.mul(running, 1 - momentum), o.mul(o.reshape(batch, [channels]), momentum));
  scope.update('running_mean', blend(mean0, mean));
  scope.update('running_var', blend(var0, o.mul(variance, count / Math.max(count - 1, 1))));
  return y;
}

/**
 * y = gamma (x - mean) / sqrt(variance + eps) + beta with the batch's own moments, and its derivative in closed form, which takes
 * half of the passes over x that the chain rule through the means would: with c = x - mean, r = 1 / sqrt(variance + eps), M values a channel,
 * dbeta = sum dy, dgamma = r sum dy c, dx = gamma r (dy - dbeta / M - c r dgamma / M).
 */
function normalisedBatch(x: Value, gamma: Value, beta: Value, eps: number) {
  const axes = x.shape.flatMap((_, i) => (i === 1 ? [] : [i]));
  const count = staticShape(x.shape, 'batchNorm').reduce((product, dim, i) => (i === 1 ? product : product * dim), 1);
  const channelSum = (value: Value): Value => o.reduceSum(value, { axes, keepdims: true });
  const normalise = (): Value[] => {
    const { mean, centred, variance } = moments(x, axes);
    const r = o.reciprocal(o.sqrt(o.add(variance, eps)));
    const scale = o.mul(perChannel(gamma, x), r);
    return [o.add(o.mul(centred, scale), perChannel(beta, x)), mean, variance, centred, r, scale];
  };
  const [y, mean, variance, centred, r, scale] = x.graph.region([x, gamma, beta], normalise, ([dy], needs) => {
    const dbeta = channelSum(dy!);
    const dgamma = o.mul(channelSum(o.mul(dy!, centred)), r);
    const along = o.mul(o.mul(o.mul(scale, r), dgamma), -1 / count);
    const offset = o.mul(o.mul(scale, dbeta), -1 / count);
    return [
      needs[0] ? o.add(o.mul(dy!, scale), o.add(o.mul(centred, along), offset)) : undefined,
      o.reshape(dgamma, gamma.shape as readonly number[]),
      o.reshape(dbeta, beta.shape as readonly number[]),
    ];
  }) as [Value, Value, Value, Value, Value, Value];
  return { y, mean, variance, count };
}

/** {@link batchNorm} that starts with scale 0, for the last norm of a residual branch: the block starts as the identity. */
export const batchZero = (scope: Scope, x: Value, options: BatchNormOptions = {}): Value =>
  batchNorm(scope, x, { ...options, scale: 0 });

/** Mean, x - mean and biased variance over `axes`, kept as 1. */
function moments(x: Value, axes: readonly number[]) {
  const mean = o.reduceMean(x, { axes, keepdims: true });
  const centred = o.sub(x, mean);
  return { mean, centred, variance: o.reduceMean(o.mul(centred, centred), { axes, keepdims: true }) };
}

/** (x - mean) / sqrt(variance + eps) over `axes`. */
function standardised(x: Value, axes: readonly number[], eps: number): Value {
  const { centred, variance } = moments(x, axes);
  return o.div(centred, o.sqrt(o.add(variance, eps)));
}

export interface NormOptions {
  readonly eps?: number;
  /** Whether there is a trained scale and bias; true by default. */
  readonly affine?: boolean;
}

const normNames = namesOf<NormOptions>({ eps: true, affine: true });

/** `y` times a trained scale plus a trained bias, as many as in `shape`, laid out by `like`. */
function affined(
  scope: Scope,
  y: Value,
  shape: readonly number[],
  affine: boolean,
  like = (vector: Value): Value => vector,
): Value {
  if (!affine) return y;
  const weight = scope.param('weight', shape, onesInit, false);
  const bias = scope.param('bias', shape, zerosInit, false);
  return o.add(o.mul(y, like(weight)), like(bias));
}

/**
 * Layer normalisation of x over its last `axes` axes (1 by default), each position on its own. Parameters `weight`, `bias` of the
 * shape of those axes. Source: Ba et al. 2016; PyTorch's LayerNorm.
 */
export function layerNorm(scope: Scope, x: Value, options: NormOptions & { readonly axes?: number } = {}): Value {
  knownKeys('layerNorm', options, [...normNames, 'axes']);
  const { eps = 1e-5, affine = true, axes = 1 } = options;
  const rank = x.shape.length;
  ensure(axes >= 1 && axes <= rank, 'bad-argument', () => {
    return `layerNorm: expected 1..${rank} axes for ${showValue(x)}, got ${axes}`;
  });
  const shape = staticShape(x.shape.slice(rank - axes), 'layerNorm');
  const over = Array.from({ length: axes }, (_, i) => rank - axes + i);
  return affined(scope, standardised(x, over, eps), shape, affine);
}

/**
 * Group normalisation of x[N,C,...]: each sample's channels in `groups` groups of neighbours, each over its channels and
 * positions. Static shapes. Parameters `weight`, `bias` [C]. Source: Wu & He 2018; PyTorch's GroupNorm.
 */
export function groupNorm(scope: Scope, x: Value, groups: number, options: NormOptions = {}): Value {
  knownKeys('groupNorm', options, normNames);
  const { eps = 1e-5, affine = true } = options;
  const channels = channelsOf(x, 'groupNorm');
  ensure(Number.isInteger(channels / groups), 'bad-argument', () => {
    return `groupNorm: expected groups that divide ${channels} channels, got ${groups}`;
  });
  const dims = staticShape(x.shape, 'groupNorm');
  const grouped = standardised(o.reshape(x, [dims[0]!, groups, -1]), [2], eps);
  return affined(scope, o.reshape(grouped, dims), [channels], affine, (vector) => perChannel(vector, x));
}

/**
 * Instance normalisation of x[N,C,...]: each channel of each sample over its positions, while training and after. Parameters
 * `weight`, `bias` [C], unless `affine` is false (PyTorch's default). Source: Ulyanov et al. 2016.
 */
export function instanceNorm(scope: Scope, x: Value, options: NormOptions = {}): Value {
  knownKeys('instanceNorm', options, normNames);
  const { eps = 1e-5, affine = true } = options;
  const axes = x.shape.map((_, i) => i).slice(2);
  ensure(axes.length > 0, 'bad-shape', () => `instanceNorm: expected [N,C,...] with positions, got ${showValue(x)}`);
  const y = standardised(x, axes, eps);
  return affined(scope, y, [channelsOf(x, 'instanceNorm')], affine, (vector) => perChannel(vector, x));
}
