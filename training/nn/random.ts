import type { Graph, Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

/*
 * Random numbers without hidden state: uint32 arithmetic that wraps around alike on every provider, without bit
 * operations (WebGPU has none). Each number is a hash of (seed, step, layer, position).
 */

const golden = 0x9e3779b1;
const roundConstants = [
  [0x85ebca6b, 0x27220a95],
  [0xc2b2ae35, 0x165667b1],
  [0x2c1b3c6d, 0x9e3779b9],
  [0x297a2d39, 0x7f4a7c15],
  [0xd168aaad, 0x94d049bb],
] as const;

/** The graph inputs `random.seed` and `random.step`, uint32 scalars; made on first use. */
export function randomInputs(graph: Graph): { readonly seed: Value; readonly step: Value } {
  const input = (name: string): Value =>
    graph.inputs.find((value) => value.name === name) ?? graph.input(name, 'uint32', []);
  return { seed: input('random.seed'), step: input('random.step') };
}

/** One round: y = x (2x+1), y's halves swapped, times an odd constant plus the seed. */
function round(x: Value, seed: Value, [factor, increment]: readonly [number, number]): Value {
  const y = o.mul(x, o.add(o.mul(x, 2), 1));
  const swapped = o.add(o.mul(y, 65536), o.div(y, 65536));
  return o.add(o.mul(swapped, factor), o.add(seed, increment));
}

/** f32 in [0, 1) with 24 bits, of shape `dims`; `layer` sets apart the draws of one step. */
export function randomUniform(graph: Graph, dims: readonly number[], layer: number): Value {
  const { seed, step } = randomInputs(graph);
  const key = o.add(o.mul(o.add(o.mul(step, 0x9e3779bb), seed), 0x85ebca77), (layer * 0xc2b2ae3d) >>> 0);
  const count = dims.reduce((product, dim) => product * dim, 1);
  const counter = o.cast(o.arange(graph, count), 'uint32');
  let x = o.add(o.mul(counter, golden), key);
  for (const constants of roundConstants) x = round(x, key, constants);
  return o.reshape(o.mul(o.cast(o.div(x, 256), 'float32'), 2 ** -24), dims);
}
