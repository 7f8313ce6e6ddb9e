import { expect } from 'chai';
import { type DynamicUnetConfig, dynamicUnet } from '../../models/dynamic-unet.ts';
import type { Encoder } from '../../models/encoder.ts';
import { resnetConfigs, resnetEncoder } from '../../models/resnet.ts';
import { smallEncoder } from '../../models/small-encoder.ts';
import { vggEncoder } from '../../models/vgg.ts';
import { createRng } from '../../training/core/rng.ts';
import { anyDim, type Shape } from '../../training/core/shape.ts';
import { f32, sizeOf } from '../../training/core/tensor.ts';
import { resizeLike } from '../../training/nn/resize.ts';
import { createScope, initialWeights, type Weights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session } from '../../training/run/session.ts';

const encoders: Readonly<Record<string, Encoder>> = {
  'ResNet, narrow': resnetEncoder({ ...resnetConfigs.resnet18, width: 8 }),
  'bottleneck ResNet, narrow': resnetEncoder({ ...resnetConfigs.resnet50, depths: [1, 1, 1], width: 4 }),
  'VGG, narrow': vggEncoder({ blocks: [[4], [6], [8]] }),
  small: smallEncoder({ widths: [4, 8, 12], depths: [1, 1, 1] }),
};

const config: DynamicUnetConfig = { classes: 3, blur: true, norm: 'weight' };

function weightsOf(encoder: Encoder): Weights {
  const scope = createScope(new Graph('specs'), { training: false });
  dynamicUnet(scope, scope.graph.input('x', 'float32', [1, 3, 64, 64]), encoder, config);
  return initialWeights(scope.specs, 5);
}

/** The exported net for an input of `shape`. */
async function opened(encoder: Encoder, weights: Weights, shape: Shape): Promise<Session> {
  const graph = new Graph('unet');
  const scope = createScope(graph, { training: false, weights });
  graph.output('y', dynamicUnet(scope, graph.input('x', 'float32', shape), encoder, config));
  return openSession(toOnnx(graph), { threads: 1 });
}

describe('DynamicUnet, exported', () => {
  const sizes = [
    [64, 64],
    [61, 90],
    [75, 47],
  ] as const;
  for (const [name, encoder] of Object.entries(encoders)) {
    it(`${name}: one file for all sizes gives what one for the size gives`, async () => {
      const weights = weightsOf(encoder);
      const any = await opened(encoder, weights, [1, 3, anyDim('H'), anyDim('W')]);
      for (const [height, width] of sizes) {
        const dims = [1, 3, height, width];
        const rng = createRng(name, height);
        const x = f32(dims, Float32Array.from({ length: sizeOf(dims) }, rng.normal));
        const fixed = await opened(encoder, weights, dims);
        const [a, b] = [(await any.run({ x })).y!, (await fixed.run({ x })).y!];
        expect(a.dims).to.deep.equal([1, 3, height, width]);
        const most = Math.max(...(b.data as Float32Array).map(Math.abs));
        expect(most).to.be.above(0);
        for (const [i, value] of (a.data as Float32Array).entries())
          expect(Math.abs(value - (b.data[i] as number))).to.be.below(1e-5 * most);
        await fixed.release();
      }
      await any.release();
    }).timeout(30_000);
  }

  it('resizeLike takes the nearest pixel, larger and smaller by one or more', async () => {
    const x = f32(
      [1, 2, 5, 7],
      Array.from({ length: 70 }, (_, i) => i),
    );
    for (const [height, width] of [
      [4, 8],
      [6, 6],
      [5, 3],
      [11, 7],
      [9, 20],
    ] as const) {
      const graph = new Graph('resize');
      const like = graph.input('like', 'float32', [1, 1, height, width]);
      const y = resizeLike(createScope(graph, { training: true }), graph.input('x', 'float32', x.dims), like);
      graph.output('y', y);
      graph.output('same', like);
      const session = await openSession(toOnnx(graph), { threads: 1 });
      const { y: out } = await session.run({ x, like: f32([1, 1, height, width], new Float32Array(height * width)) });
      await session.release();
      const expected = Array.from({ length: 2 * height * width }, (_, i) => {
        const [c, row, column] = [Math.floor(i / height / width), Math.floor(i / width) % height, i % width];
        return 35 * c + 7 * Math.floor((row * 5) / height) + Math.floor((column * 7) / width);
      });
      expect([...(out!.data as Float32Array)], `${height}x${width}`).to.deep.equal(expected);
    }
  });

  it('training wants known sizes', () => {
    const graph = new Graph('unet');
    const scope = createScope(graph, { training: true });
    const x = graph.input('x', 'float32', [1, 8, anyDim('H'), 4]);
    expect(() => resizeLike(scope, x, graph.input('y', 'float32', [1, 8, anyDim('G'), 4]))).to.throw(/known sizes/);
  });
});
