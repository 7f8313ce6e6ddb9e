import { ensure } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { Init } from './init.ts';
import type { Scope, Weights } from './scope.ts';

/** How a layer's weight is kept in bounds: `weight` (Salimans & Kingma 2016) or `spectral` (Miyato et al. 2018). */
export type WeightNorm = 'none' | 'weight' | 'spectral';

/** |v| of each filter of v[K,...], flattened. */
export function filterNorms(v: Float32Array, filters: number): Float32Array {
  const length = v.length / filters;
  return Float32Array.from({ length: filters }, (_, k) => Math.hypot(...v.subarray(k * length, (k + 1) * length)));
}

/** The weight `shape` = [K,...] of a layer under `norm`: parameter `weight`, or the parameters of the norm. */
export function normedWeight(scope: Scope, shape: readonly number[], init: Init, norm: WeightNorm): Value {
  if (norm === 'weight') return weightNormed(scope, shape, init);
  return norm === 'spectral' ? spectralNormed(scope, shape, init) : scope.param('weight', shape, init);
}

/** The values of `names` in the weights of a model; throws `bad-checkpoint` when one is not there. */
function valuesOf(weights: Weights, names: readonly string[]): Float32Array[] {
  return names.map((name) => {
    const value = weights.get(name);
    ensure(
      value !== undefined,
      'bad-checkpoint',
      () => `weights: expected ${names.join(', ')}, got no ${name}; the weights belong to another model`,
    );
    return value;
  });
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
    const [g, v] = valuesOf(weights, [nameG, nameV]) as [Float32Array, Float32Array];
    const norms = filterNorms(v, shape[0]!);
    const length = v.length / g.length;
    return v.map((value, i) => (value * g[Math.floor(i / length)]!) / norms[Math.floor(i / length)]!);
  });
}

/** vector / |vector|. */
function normalised(vector: Float32Array): Float32Array {
  const norm = Math.max(Math.hypot(...vector), 1e-12);
  return vector.map((value) => value / norm);
}

/** matrix[rows,columns] times vector, or its transpose times vector. */
function times(matrix: Float32Array, vector: Float32Array, rows: number, transpose: boolean): Float32Array {
  const columns = matrix.length / rows;
  const out = new Float32Array(transpose ? columns : rows);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const value = matrix[i * columns + j]!;
      if (transpose) out[j]! += value * vector[i]!;
      else out[i]! += value * vector[j]!;
    }
  return out;
}

/** The singular vectors u (side 0) and v (side 1) of the largest singular value, by 15 rounds from a random start. */
const singularInit =
  (weightName: string, rows: number, side: 0 | 1): Init =>
  (_shape, _seed, made) => {
    const matrix = made.get(weightName)!;
    const rng = createRng(weightName);
    let u = normalised(Float32Array.from({ length: rows }, () => rng.normal()));
    let v: Float32Array = new Float32Array(0);
    for (let round = 0; round < 15; round++) {
      v = normalised(times(matrix, u, rows, true));
      u = normalised(times(matrix, v, rows, false));
    }
    return side === 0 ? u : v;
  };

/** x / max(|x|, eps) of a column [n,1]. */
const unit = (x: Value): Value => o.div(x, o.maximum(o.sqrt(o.reduceSum(o.mul(x, x))), 1e-12));

/**
 * w[K,...] = weight_orig / sigma, sigma the largest singular value of weight_orig as a matrix [K,rest]. Parameter `weight_orig`,
 * buffers `weight_u` [K] and `weight_v` [rest], as in PyTorch: while training one round of power iteration moves the
 * buffers on, and no gradient flows through them. An exported graph holds the plain `weight`.
 */
export function spectralNormed(scope: Scope, shape: readonly number[], init: Init): Value {
  const [rows, columns] = [shape[0]!, shape.slice(1).reduce((a, b) => a * b, 1)];
  const names = ['weight_orig', 'weight_u', 'weight_v'].map((name) => scope.fullName(name));
  const build = (): Value => {
    const weight = scope.param('weight_orig', shape, init);
    const matrix = o.reshape(weight, [rows, columns]);
    const storedU = scope.buffer('weight_u', [rows], singularInit(names[0]!, rows, 0));
    const storedV = scope.buffer('weight_v', [columns], singularInit(names[0]!, rows, 1));
    let [u, v] = [o.reshape(storedU, [rows, 1]), o.reshape(storedV, [columns, 1])];
    if (scope.training) {
      v = o.detach(unit(o.gemm(matrix, u, undefined, { transA: true })));
      u = o.detach(unit(o.gemm(matrix, v)));
      scope.update('weight_u', o.reshape(u, [rows]));
      scope.update('weight_v', o.reshape(v, [columns]));
    }
    return o.div(weight, o.reshape(o.reduceSum(o.mul(u, o.gemm(matrix, v))), [1]));
  };
  return scope.derived('weight', shape, build, (weights) => {
    const [matrix, u, v] = valuesOf(weights, names) as [Float32Array, Float32Array, Float32Array];
    const sigma = times(matrix, v, rows, false).reduce((sum, value, i) => sum + value * u[i]!, 0);
    return matrix.map((value) => value / sigma);
  });
}
