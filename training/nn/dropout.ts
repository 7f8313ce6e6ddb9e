import { ensure } from '../core/errors.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { needProbability } from './common.ts';
import { randomUniform } from './random.ts';
import type { Scope } from './scope.ts';

/*
 * All of them do something only while training. The mask is a function of (seed, step, place in the model), so a step that is
 * computed again gives the same numbers on every device.
 */

/** f32 of shape `dims`: 0 with probability `p`, else 1 / (1 - p). */
export function keepMask(scope: Scope, dims: readonly number[], p: number): Value {
  const noise = randomUniform(scope.graph, dims, scope.nextRandomLayer());
  return o.mul(o.cast(o.greaterOrEqual(noise, p), 'float32'), 1 / (1 - p));
}

/** x times a mask of the shape `dimsOf` makes of x's. */
function masked(
  scope: Scope,
  x: Value,
  p: number,
  where: string,
  dimsOf: (dims: readonly number[]) => readonly number[],
): Value {
  needProbability(p, where);
  if (!scope.training || p === 0) return x;
  return o.mul(x, keepMask(scope, dimsOf(staticShape(x.shape, where)), p));
}

/** Zeroes each element of x with probability `p` in [0, 1) and divides the rest by 1 - p. Source: Srivastava et al. 2014. */
export const dropout = (scope: Scope, x: Value, p: number): Value => masked(scope, x, p, 'dropout', (dims) => dims);

/** {@link dropout} of whole channels of x[N,C,...]. Source: Tompson et al. 2015. */
export const dropout2d = (scope: Scope, x: Value, p: number): Value =>
  masked(scope, x, p, 'dropout2d', (dims) => dims.map((dim, i) => (i < 2 ? dim : 1)));

/** {@link dropout} with one mask for all time steps of x[N,T,C]. Source: Gal & Ghahramani 2016; fastai's RNNDropout. */
export function variationalDropout(scope: Scope, x: Value, p: number): Value {
  ensure(x.shape.length === 3, 'bad-shape', () => `variationalDropout: expected x[N,T,C], got ${showValue(x)}`);
  return masked(scope, x, p, 'variationalDropout', ([n, , c]) => [n!, 1, c!]);
}

/** {@link dropout} of a weight that every time step uses: DropConnect on the recurrent weight. Source: Merity et al. 2017. */
export const weightDrop = (scope: Scope, weight: Value, p: number): Value =>
  masked(scope, weight, p, 'weightDrop', (dims) => dims);
