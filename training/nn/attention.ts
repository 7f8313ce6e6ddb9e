import { staticShape } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { kaimingNormal, zerosInit } from './init.ts';
import type { Scope } from './scope.ts';
import { normedWeight } from './weights.ts';

/**
 * Self-attention over all positions (Zhang et al. 2018), as fastai has it: x[N,C,H,W] -> gamma * attended + x.
 * Sees the whole picture, so a model that has it cannot be tiled exactly. 1x1 convolutions `query`, `key` to C/8, `value`;
 * with `spectralNorm` as fastai's critics have them. Static shapes.
 */
export function selfAttention(
  scope: Scope,
  x: Value,
  { spectralNorm = false }: { readonly spectralNorm?: boolean } = {},
): Value {
  const [n, c, h, w] = staticShape(x.shape, 'selfAttention') as [number, number, number, number];
  const flat = o.reshape(x, [n, c, h * w]);
  const project = (name: string, filters: number): Value =>
    scope.in(name, (s) => {
      const weight = normedWeight(s, [filters, c, 1], kaimingNormal(1), spectralNorm ? 'spectral' : 'none');
      return o.matmul(o.reshape(weight, [filters, c]), flat);
    });
  const query = project('query', Math.max(1, Math.floor(c / 8)));
  const key = project('key', Math.max(1, Math.floor(c / 8)));
  const value = project('value', c);
  const attention = o.softmax(o.matmul(o.transpose(query, [0, 2, 1]), key), 1);
  const gamma = scope.param('gamma', [1], zerosInit);
  return o.add(o.reshape(o.mul(o.matmul(value, attention), gamma), [n, c, h, w]), x);
}
