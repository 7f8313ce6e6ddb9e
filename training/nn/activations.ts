import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { channelsOf, perChannel } from './common.ts';
import { constantInit } from './init.ts';
import type { Scope } from './scope.ts';

export { leakyRelu, logSoftmax, relu, sigmoid, softmax, softplus, tanh } from '../ops/build.ts';

/** Gaussian error linear unit, exact: x Phi(x). Source: Hendrycks & Gimpel 2016. */
export const gelu = (x: Value): Value => o.mul(o.mul(x, 0.5), o.add(o.erf(o.mul(x, Math.SQRT1_2)), 1));

/** x sigmoid(x), also called swish. */
export const silu = (x: Value): Value => o.mul(x, o.sigmoid(x));

/** low + (high - low) sigmoid(x): fastai's `y_range`. */
export const sigmoidRange = (x: Value, low: number, high: number): Value => o.add(o.mul(o.sigmoid(x), high - low), low);

/**
 * x for x > 0, else a x with a trained slope a (He et al. 2015): one for all channels, or one per channel of x[N,C,...].
 * Parameter `weight` [1] or [C], 0.25 at first, without weight decay.
 */
export function prelu(
  scope: Scope,
  x: Value,
  { perChannel: each = false, slope = 0.25 }: { readonly perChannel?: boolean; readonly slope?: number } = {},
): Value {
  const weight = scope.param('weight', [each ? channelsOf(x, 'prelu') : 1], constantInit(slope), false);
  return o.where(o.greater(x, 0), x, o.mul(x, each ? perChannel(weight, x) : weight));
}
