import { createRng, mixSeed } from '../../training/core/rng.ts';
import { sizeOf, type Tensor, tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session } from '../../training/run/session.ts';

/** How the derivative of an operator is checked: shapes of the inputs, and the function of them. */
export interface Sample {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly build: (...inputs: Value[]) => Value;
  /** Inputs are drawn uniformly from [low, high]; [-1, 1] by default. */
  readonly range?: readonly [number, number];
  /** Keeps every input this far from 0 (and from other elements' ties), where the function has a kink. */
  readonly away?: number;
  /** Inputs are distinct, evenly spaced values in random order, so that no step of the check changes which one is largest. */
  readonly distinct?: boolean;
  /** How many of the inputs, from the first, are differentiated; all by default. */
  readonly wrt?: number;
}

function randomTensor(
  shape: readonly number[],
  seed: number,
  [low, high]: readonly [number, number],
  away: number,
): Tensor<'float32'> {
  const rng = createRng(seed);
  const draw = (): number => {
    const value = low + (high - low) * rng.next();
    return Math.abs(value) < away ? value + Math.sign(value || 1) * away : value;
  };
  return tensor('float32', shape, Float32Array.from({ length: sizeOf(shape) }, draw));
}

function distinctTensor(shape: readonly number[], seed: number): Tensor<'float32'> {
  const count = sizeOf(shape);
  const values = createRng(seed).shuffle(Array.from({ length: count }, (_, i) => (i - count / 2) / 16));
  return tensor('float32', shape, Float32Array.from(values));
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);

interface Built {
  readonly forward: Session;
  readonly gradient: Session;
  readonly outShape: readonly number[];
}

async function open(sample: Sample): Promise<Built> {
  const inputsOf = (graph: Graph) => sample.shapes.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
  const forward = new Graph('forward');
  const y = sample.build(...inputsOf(forward));
  forward.output('y', y);
  const gradient = new Graph('gradient');
  const inputs = inputsOf(gradient);
  const out = sample.build(...inputs);
  const weights = gradient.input('r', 'float32', out.shape);
  const wrt = inputs.slice(0, sample.wrt ?? inputs.length);
  const grads = backward(o.reduceSum(o.mul(out, weights)), wrt);
  for (const [i, value] of wrt.entries()) gradient.output(`d${i}`, grads.get(value)!);
  return {
    forward: await openSession(toOnnx(forward), { threads: 1 }),
    gradient: await openSession(toOnnx(gradient), { threads: 1 }),
    outShape: y.shape as number[],
  };
}

/** Worst relative difference between the gradient's directional derivative and central differences, over some directions. */
export async function gradientError(sample: Sample, directions = 3): Promise<number> {
  const { forward, gradient, outShape } = await open(sample);
  const range = sample.range ?? [-1, 1];
  const seed = mixSeed(sample.name);
  const points = sample.shapes.map((shape, i) =>
    sample.distinct ? distinctTensor(shape, seed + i) : randomTensor(shape, seed + i, range, sample.away ?? 0),
  );
  const r = randomTensor(outShape, seed + 77, [-1, 1], 0);
  const feeds = Object.fromEntries(points.map((point, i) => [`x${i}`, point]));
  const grads = await gradient.run({ ...feeds, r });
  const wrt = sample.wrt ?? points.length;
  const loss = async (at: readonly Tensor<'float32'>[]): Promise<number> => {
    const { y } = await forward.run(Object.fromEntries(at.map((point, i) => [`x${i}`, point])));
    return dot(y!.data as Float32Array, r.data);
  };
  let worst = 0;
  const step = 1 / 128;
  for (let k = 0; k < directions; k++) {
    const along = points.map((point, i) => randomTensor(point.dims, seed + 1000 * (k + 1) + i, [-1, 1], 0));
    const moved = (sign: number) =>
      points.map((p, i) =>
        i < wrt
          ? tensor(
              'float32',
              p.dims,
              p.data.map((v, j) => v + sign * step * along[i]!.data[j]!),
            )
          : p,
      );
    const numeric = ((await loss(moved(1))) - (await loss(moved(-1)))) / (2 * step);
    const analytic = points
      .slice(0, wrt)
      .reduce((sum, _, i) => sum + dot(grads[`d${i}`]!.data as Float32Array, along[i]!.data), 0);
    const size = points
      .slice(0, wrt)
      .reduce((sum, _, i) => sum + Math.hypot(...(grads[`d${i}`]!.data as Float32Array)), 0);
    worst = Math.max(worst, Math.abs(numeric - analytic) / Math.max(size, 1e-3));
  }
  await Promise.all([forward.release(), gradient.release()]);
  return worst;
}
