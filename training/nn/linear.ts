import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { featuresOf } from './common.ts';
import { type Init, kaimingUniform, zerosInit } from './init.ts';
import type { Scope } from './scope.ts';
import { normedWeight } from './weights.ts';

export interface LinearOptions {
  readonly bias?: boolean;
  readonly init?: Init;
  /** Zeros by default. */
  readonly biasInit?: Init;
  /** Spectral normalisation of the weight (Miyato et al. 2018). */
  readonly spectralNorm?: boolean;
  /** A weight [features,C] that is shared instead of a new one: the embedding of a language model (Press & Wolf 2017). */
  readonly weight?: Value;
}

const optionNames = namesOf<LinearOptions>({
  bias: true,
  init: true,
  biasInit: true,
  spectralNorm: true,
  weight: true,
});

/** x[...,C] -> [...,features]: x wᵀ + b along the last axis. Parameters `weight` [features,C], `bias`. Throws `bad-shape`, `bad-argument`. */
export function linear(scope: Scope, x: Value, features: number, options: LinearOptions = {}): Value {
  knownKeys('linear', options, optionNames);
  const { bias = true, init = kaimingUniform, biasInit = zerosInit, spectralNorm = false } = options;
  ensure(Number.isSafeInteger(features) && features >= 1, 'bad-argument', () => {
    return `linear: expected a whole number of features, at least 1, got ${features}`;
  });
  const shape = [features, featuresOf(x, 'linear')];
  const w = options.weight ?? normedWeight(scope, shape, init, spectralNorm ? 'spectral' : 'none');
  ensure(
    w.shape[0] === shape[0] && w.shape[1] === shape[1],
    'bad-shape',
    () => `linear: expected a weight [${shape}] for ${showValue(x)}, got ${showValue(w)}`,
  );
  const b = bias ? scope.param('bias', [features], biasInit) : undefined;
  if (x.shape.length === 2) return o.gemm(x, w, b, { transB: true });
  if (!x.shape.every((dim) => typeof dim === 'number')) {
    const product = o.matmul(x, o.transpose(w, [1, 0]));
    return b === undefined ? product : o.add(product, b);
  }
  const rows = o.gemm(o.reshape(x, [-1, shape[1]!]), w, b, { transB: true });
  return o.reshape(rows, [...staticShape(x.shape, 'linear').slice(0, -1), features]);
}

/** [N,...] -> [N,everything else]; N may be symbolic. `full` gives one axis of everything, of a static shape. */
export function flatten(x: Value, { full = false }: { readonly full?: boolean } = {}): Value {
  const n = x.shape[0];
  if (full || n === undefined) return o.reshape(x, [-1]);
  return o.reshape(x, [typeof n === 'number' ? n : 0, -1]);
}
