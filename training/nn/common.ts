import { ensure } from '../core/errors.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

/** C of x[N,C,...]; throws `bad-shape` when it is not known. */
export const channelsOf = (x: Value, where: string): number => axisSize(x, 1, '[N,C,...] with a known C', where);

/** C of x[...,C]; throws `bad-shape` when it is not known. */
export const featuresOf = (x: Value, where: string): number =>
  axisSize(x, x.shape.length - 1, '[...,C] with a known C', where);

function axisSize(x: Value, axis: number, wanted: string, where: string): number {
  const size = x.shape[axis];
  ensure(typeof size === 'number', 'bad-shape', () => `${where}: expected ${wanted}, got ${showValue(x)}`);
  return size;
}

/** [1,C,1,...]: a per-channel vector [C] that broadcasts over x. */
export const perChannel = (vector: Value, x: Value): Value =>
  o.reshape(
    vector,
    x.shape.map((_, i) => (i === 1 ? -1 : 1)),
  );

/** Throws `bad-argument` unless p is a probability that leaves something. */
export function needProbability(p: number, where: string): void {
  ensure(p >= 0 && p < 1, 'bad-argument', () => `${where}: expected a probability in [0, 1), got ${p}`);
}
