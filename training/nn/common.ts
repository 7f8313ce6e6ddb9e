import { ensure } from '../core/errors.ts';
import type { Statistics } from '../core/image.ts';
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

/** [1,C,1,...]: constants, one for each channel of x[N,C,...]. */
export const channelConstant = (x: Value, values: readonly number[]): Value =>
  x.graph.constant(
    'float32',
    x.shape.map((_, i) => (i === 1 ? values.length : 1)),
    Float32Array.from(values),
  );

/** normaliseChannels: x f32[N,C,...] -> (x - mean) / std of each channel. */
export const normaliseChannels = (x: Value, { mean, std }: Statistics): Value =>
  o.div(o.sub(x, channelConstant(x, mean)), channelConstant(x, std));

/** Throws `bad-argument` unless p is a probability that leaves something. */
export function needProbability(p: number, where: string): void {
  ensure(p >= 0 && p < 1, 'bad-argument', () => `${where}: expected a probability in [0, 1), got ${p}`);
}
