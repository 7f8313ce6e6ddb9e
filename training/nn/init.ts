import { createRng } from '../core/rng.ts';
import { sizeOf } from '../core/tensor.ts';

/**
 * Makes the first values of a parameter of `shape`; the same seed gives the same values everywhere. `made` holds the
 * parameters declared earlier, by full name.
 */
export type Init = (shape: readonly number[], seed: number, made: ReadonlyMap<string, Float32Array>) => Float32Array;

/** A plain loop: `Float32Array.from` takes five times as long, a second for the weights of a language model. */
function fill(shape: readonly number[], draw: (i: number) => number): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = draw(i);
  return values;
}

/** Inputs that one output of w[K,C,...] sums over. */
const fanIn = (shape: readonly number[]): number => sizeOf(shape.slice(1));

export const constantInit =
  (value: number): Init =>
  (shape) =>
    fill(shape, () => value);
export const zerosInit: Init = constantInit(0);
export const onesInit: Init = constantInit(1);

/** Uniform in [-bound, bound]. */
export const uniformInit =
  (bound: number): Init =>
  (shape, seed) => {
    const rng = createRng(seed, 'uniform');
    return fill(shape, () => (2 * rng.next() - 1) * bound);
  };

/** Normal with the given standard deviation. */
export const normalInit =
  (std: number): Init =>
  (shape, seed) => {
    const rng = createRng(seed, 'normal');
    return fill(shape, () => rng.normal() * std);
  };

/** Outputs that one input of w[K,C,...] goes into. */
const fanOut = (shape: readonly number[]): number => sizeOf(shape) / shape[1]!;

/** Normal, std = gain / sqrt(fan in or fan out); gain sqrt(2) suits ReLU (He et al. 2015). */
export const kaimingNormal =
  (gain = Math.SQRT2, fan: 'in' | 'out' = 'in'): Init =>
  (shape, seed, made) =>
    normalInit(gain / Math.sqrt(fan === 'in' ? fanIn(shape) : fanOut(shape)))(shape, seed, made);

/** Uniform in +-1/sqrt(fan in): what PyTorch gives to its linear and convolution layers. */
export const kaimingUniform: Init = (shape, seed, made) => uniformInit(1 / Math.sqrt(fanIn(shape)))(shape, seed, made);

/**
 * ICNR (Aitken et al. 2017) for w[K,C,R,S] in front of a pixel shuffle: every block of `factor`^2 filters starts equal, so
 * that the shuffled picture starts without checkerboard.
 */
export const icnr =
  (factor: number, base: Init = kaimingNormal()): Init =>
  (shape, seed, made) => {
    const [filters, ...rest] = shape;
    const repeat = factor ** 2;
    const kernels = base([filters! / repeat, ...rest], seed, made);
    const length = sizeOf(rest);
    return fill(shape, (i) => kernels[Math.floor(i / length / repeat) * length + (i % length)]!);
  };
