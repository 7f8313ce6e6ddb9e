import { createRng } from '../core/rng.ts';
import { sizeOf } from '../core/tensor.ts';
import type { TrainState } from '../step/state.ts';

/**
 * filterDirection: a random direction in the space of all weights, normal numbers scaled filter by filter to the length of the
 * weights' own filter (a row of a matrix, w[k] of w[K,C,R,S]). Vectors (biases, scales of norms) stay where they are. So
 * surfaces of different nets compare, whatever the scale of their weights. Source: Li et al., "Visualizing the Loss Landscape of
 * Neural Nets", 2018, section 4.
 */
export function filterDirection(
  { specs, tensors }: Pick<TrainState, 'specs' | 'tensors'>,
  seed: number,
): Map<string, Float32Array> {
  const matrices = specs.filter(({ kind, shape }) => kind === 'param' && shape.length > 1);
  return new Map(
    matrices.map(({ name, shape }) => {
      const rng = createRng(seed, 'direction', name);
      const weights = tensors.get(name)!.data;
      const direction = Float32Array.from({ length: weights.length }, () => rng.normal());
      const length = sizeOf(shape.slice(1));
      for (let at = 0; at < weights.length; at += length) {
        const filter = direction.subarray(at, at + length);
        const factor = norm(weights.subarray(at, at + length)) / (norm(filter) || 1);
        for (let i = 0; i < length; i++) filter[i]! *= factor;
      }
      return [name, direction];
    }),
  );
}

const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

/** A point of a surface: weights + alpha * first + beta * second. */
export interface SurfacePoint {
  readonly alpha: number;
  readonly beta: number;
}

/** The points of a square grid about the weights: `points` (odd, so that the middle is one) in each direction, -span .. span. */
export function surfaceGrid(points: number, span: number): SurfacePoint[] {
  const at = (i: number): number => (span * (2 * i - (points - 1))) / (points - 1);
  return Array.from({ length: points * points }, (_, i) => ({
    alpha: at(i % points),
    beta: at(Math.floor(i / points)),
  }));
}

/**
 * alongSurface: moves the weights of `state` to one point after the other and calls `measure` there; they are back where they
 * were afterwards, and whenever the caller stops.
 */
export async function* alongSurface<T>(
  state: Pick<TrainState, 'specs' | 'tensors'>,
  points: Iterable<SurfacePoint>,
  measure: () => Promise<T>,
  seeds: readonly [number, number] = [1, 2],
): AsyncGenerator<SurfacePoint & { readonly value: T }> {
  const [first, second] = [filterDirection(state, seeds[0]), filterDirection(state, seeds[1])];
  const origin = new Map([...first.keys()].map((name) => [name, state.tensors.get(name)!.data.slice()]));
  try {
    for (const { alpha, beta } of points) {
      for (const [name, start] of origin) {
        const [data, u, v] = [state.tensors.get(name)!.data, first.get(name)!, second.get(name)!];
        for (let i = 0; i < data.length; i++) data[i] = start[i]! + alpha * u[i]! + beta * v[i]!;
      }
      yield { alpha, beta, value: await measure() };
    }
  } finally {
    for (const [name, start] of origin) state.tensors.get(name)!.data.set(start);
  }
}
