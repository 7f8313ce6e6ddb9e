import { createRng, mixSeed, type Rng } from '../../training/core/rng.ts';
import { sizeOf, type Tensor, tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { createScope, initialWeights, type Scope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session, Tensors } from '../../training/run/session.ts';

/** A layer or loss whose derivatives by its inputs and all of its parameters are checked. */
export interface LayerSample {
  readonly name: string;
  /** Shapes of the f32 inputs, drawn from [-1, 1]. */
  readonly shapes: readonly (readonly number[])[];
  readonly build: (scope: Scope, ...inputs: Value[]) => Value;
  /** True by default. */
  readonly training?: boolean;
  /** Of the central differences: large enough for f32, small where ReLUs must not change sides within it; 1/512 by default. */
  readonly step?: number;
}

const draw = (rng: Rng, dims: readonly number[], scale = 1): Tensor<'float32'> =>
  tensor(
    'float32',
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => scale * (2 * rng.next() - 1)),
  );

const moved = (start: Tensor<'float32'>, along: Tensor<'float32'>, by: number): Tensor<'float32'> => ({
  ...start,
  data: start.data.map((value, i) => value + by * along.data[i]!),
});

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

interface Built {
  readonly session: Session;
  /** What is differentiated, by name, at a random point. */
  readonly point: ReadonlyMap<string, Tensor<'float32'>>;
  /** Everything else that the graph wants. */
  readonly rest: Tensors;
}

/** One graph with the output's product with random numbers and all of its derivatives. */
async function open({ name, shapes, build, training = true }: LayerSample): Promise<Built> {
  const graph = new Graph('layer');
  const scope = createScope(graph, { training });
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
  const y = build(scope, ...inputs);
  const rng = createRng(mixSeed(name));
  const dims = y.shape as readonly number[];
  const loss = o.reduceSum(o.mul(y, graph.constant('float32', dims, draw(rng, dims).data, 'dy')));
  const params = scope.specs.filter(({ kind }) => kind === 'param');
  const wrt = [...inputs, ...params.map((spec) => scope.values.get(spec.name)!)];
  const grads = backward(loss, wrt);
  graph.output('loss', loss);
  for (const value of wrt) graph.output(`grad/${value.name}`, grads.get(value)!);
  const weights = initialWeights(scope.specs, 7);
  const point = new Map(inputs.map((input) => [input.name, draw(rng, input.shape as number[])]));
  // Away from the first values: zeros and ones would hide mistakes.
  for (const { name: param, shape } of params)
    point.set(param, moved(tensor('float32', shape, weights.get(param)!), draw(rng, shape), 0.4));
  const buffers = scope.specs.filter(({ kind }) => kind === 'buffer');
  const word = (value: number): Tensor => tensor('uint32', [], Uint32Array.of(value));
  const rest = Object.fromEntries<Tensor>(
    buffers.map(({ name: buffer, shape }) => [buffer, tensor('float32', shape, weights.get(buffer)!)]),
  );
  const session = await openSession(toOnnx(graph), { threads: 1 });
  return { session, point, rest: { ...rest, 'random.seed': word(3), 'random.step': word(5) } };
}

/** Worst relative difference between the derivative along a random direction and central differences, over some directions. */
export async function layerGradientError(sample: LayerSample, directions = 2): Promise<number> {
  const { session, point, rest } = await open(sample);
  const step = sample.step ?? 1 / 512;
  const run = (at: ReadonlyMap<string, Tensor<'float32'>>): Promise<Tensors> =>
    session.run({ ...rest, ...Object.fromEntries(at) });
  const here = await run(point);
  const gradOf = (name: string): Float32Array => here[`grad/${name}`]!.data as Float32Array;
  let worst = 0;
  for (let k = 0; k < directions; k++) {
    const rng = createRng(k, 'direction');
    const along = new Map([...point].map(([name, { dims }]) => [name, draw(rng, dims)]));
    const lossAt = async (by: number): Promise<number> => {
      const at = new Map([...point].map(([name, start]) => [name, moved(start, along.get(name)!, by)]));
      return (await run(at)).loss!.data[0] as number;
    };
    const numeric = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    const analytic = [...along].reduce((sum, [name, { data }]) => sum + dot(gradOf(name), data), 0);
    const size = [...point.keys()].reduce((sum, name) => sum + Math.hypot(...gradOf(name)), 0);
    worst = Math.max(worst, Math.abs(numeric - analytic) / Math.max(size, 1e-3));
  }
  await session.release();
  return worst;
}
