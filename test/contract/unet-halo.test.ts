import { expect } from 'chai';
import { type RestoreUnetConfig, restoreUnet, restoreUnetDefaults, unetHalo, unetMultiple } from '../../models/unet.ts';
import { createRng } from '../../training/core/rng.ts';
import { f32, sizeOf } from '../../training/core/tensor.ts';
import { createScope, initialWeights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { openSession } from '../../training/run/ort.node.ts';

const size = 256;
const dims = [1, 3, size, size];
const small: RestoreUnetConfig = { ...restoreUnetDefaults, widths: [4, 6, 8], blocks: [1, 1, 1], headWidth: 5 };

/** Where (y, x) lies within `reach` of the block of one grid cell in the middle. */
function near(y: number, x: number, reach: number, cell: number): boolean {
  const [low, high] = [size / 2 - reach, size / 2 + cell + reach];
  return Math.min(y, x) >= low && Math.max(y, x) < high;
}

/** Restores a random picture and the same one with other pixels beyond `reach` of the middle cell: do that cell's pixels differ? */
async function differs(config: RestoreUnetConfig, reach: number): Promise<boolean> {
  const graph = new Graph('halo');
  const scope = createScope(graph, { training: true });
  graph.output('y', restoreUnet(scope, graph.input('x', 'float32', dims), config));
  const weights = initialWeights(scope.specs, 3);
  const feeds = Object.fromEntries(scope.specs.map(({ name, shape }) => [name, f32(shape, weights.get(name)!)]));
  const rng = createRng('halo');
  const cell = unetMultiple(config);
  const inside = (i: number): boolean => near(Math.floor(i / size) % size, i % size, reach, cell);
  const x = f32(dims, Array.from({ length: sizeOf(dims) }, rng.next));
  const other = f32(
    dims,
    x.data.map((value, i) => (inside(i) ? value : rng.next())),
  );
  const session = await openSession(toOnnx(graph), { threads: 1 });
  const [a, b] = [await session.run({ ...feeds, x }), await session.run({ ...feeds, x: other })];
  await session.release();
  const middle = (i: number): boolean => near(Math.floor(i / size) % size, i % size, 0, cell);
  return (a.y!.data as Float32Array).some((value, i) => middle(i) && value !== b.y!.data[i]);
}

describe('what a pixel of the restore U-Net sees', () => {
  for (const blur of [true, false]) {
    const config = { ...small, blur };
    it(`lies within its halo of ${unetHalo(config)} px, ${blur ? 'with' : 'without'} blur`, async () => {
      expect(unetHalo(config) % unetMultiple(config)).to.equal(0);
      expect(await differs(config, unetHalo(config))).to.equal(false);
    });

    it(`and not within half of it, ${blur ? 'with' : 'without'} blur`, async () => {
      expect(await differs(config, unetHalo(config) / 2)).to.equal(true);
    });
  }
});
