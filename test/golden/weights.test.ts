import { join } from 'node:path';
import { expect } from 'chai';
import { type ResNetConfig, resnet } from '../../models/resnet.ts';
import { vgg } from '../../models/vgg.ts';
import { rootDir } from '../../scripts/repo/source-files.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Graph, Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import type { Tensors } from '../../training/run/session.ts';
import { copyWeights, createState, type TrainState } from '../../training/step/state.ts';
import { buildInference, buildStep, gradName, nextName, type Task } from '../../training/step/train-step.ts';
import { loadWeights } from '../../training/weights/load.ts';
import type { WeightReport } from '../../training/weights/match.ts';
import { readWeightsFile } from '../../training/weights/read.node.ts';
import { runOnce } from './compute.ts';
import { relativeError } from './fixtures.ts';

/*
 * torchvision's families at a small width: the weights PyTorch saved, in every format, give PyTorch's scores, gradients and running
 * statistics (make_weights.py).
 */

type Model = (scope: Scope, x: Value) => Value;

const small = { classes: 5, zeroLast: false } as const;
const basic: ResNetConfig = { ...small, block: 'basic', depths: [2, 1, 1, 1], width: 4 };
const bottleneck: ResNetConfig = { ...small, block: 'bottleneck', depths: [1, 2, 1, 1], width: 2 };
const vggConfig = { blocks: [[4], [4, 6], [8], [8], [8]], hidden: 10, classes: 5, dropout: 0 };
const nets: Readonly<Record<string, Model>> = {
  basic: (scope, x) => resnet(scope, x, basic),
  bottleneck: (scope, x) => resnet(scope, x, bottleneck),
  vgg: (scope, x) => vgg(scope, x, vggConfig),
};

/** Our f32 sums against float64, as shares of a tensor's largest value; gradients have gone through twice as many layers. */
const tolerance = { scores: 2e-5, gradients: 1e-4 };

const fileOf = (name: string) => readWeightsFile(join(rootDir, 'test', 'fixtures', 'weights', name));

/** PyTorch's numbers. */
async function expectedOf(net: string): Promise<ReadonlyMap<string, Tensor<'float32'>>> {
  const { tensors } = await fileOf(`${net}.expected.safetensors`);
  return tensors as ReadonlyMap<string, Tensor<'float32'>>;
}

const taskOf = (model: Model, x: Tensor, dy: Tensor): Task => ({
  name: 'weights',
  inputs: [
    { name: 'x', dtype: 'float32', shape: x.dims },
    { name: 'dy', dtype: 'float32', shape: dy.dims },
  ],
  forward: (scope, inputs) => ({ loss: o.reduceSum(o.mul(model(scope, inputs.x!), inputs.dy!)) }),
});

interface Loaded {
  readonly state: TrainState;
  readonly training: Graph;
  readonly report: WeightReport;
}

/** The model's training graph, and its state with the weights of a file. */
async function loaded(model: Model, x: Tensor, dy: Tensor, file: string): Promise<Loaded> {
  const { training, specs } = buildStep(taskOf(model, x, dy));
  const state = createState(specs, { optimizer: adamw });
  return { training, state, report: loadWeights(state, await fileOf(file)) };
}

/** Scores of the exported model, everything as constants of the graph. */
async function scoresOf(model: Model, state: TrainState, x: Tensor): Promise<Tensor> {
  const inputs = [{ name: 'x', dtype: 'float32', shape: x.dims }] as const;
  const graph = buildInference('net', inputs, copyWeights(state), (scope, { x: input }) => ({
    scores: model(scope, input!),
  }));
  return (await runOnce(graph, { x })).scores!;
}

const largestOf = ({ data }: Tensor): number => Math.max(...Array.from(data as Float32Array, Math.abs));

/** Whether a gradient is zero but for rounding: a bias in front of a norm, which takes it away again. */
const isVoid = (tensor: Tensor): boolean => largestOf(tensor) < 1e-10;

/** Largest difference as a share of the largest value of `scale`. */
function differenceOf(ours: Tensor, theirs: Tensor<'float32'>, scale: Tensor): number {
  const differences = theirs.data.map((value, i) => Number(ours.data[i]) - value);
  expect(ours.data.length).to.equal(theirs.data.length);
  return largestOf({ ...theirs, data: differences }) / largestOf(scale);
}

const feedsOf = (state: TrainState, batch: Tensors): Tensors => ({ ...Object.fromEntries(state.tensors), ...batch });

describe('weights from PyTorch', function () {
  this.timeout(30_000);
  for (const [name, model] of Object.entries(nets)) {
    for (const kind of ['pth', 'legacy.pth', 'safetensors', 'onnx'])
      it(`${name}.${kind}: every tensor finds its place, and the scores are PyTorch's`, async () => {
        const expected = await expectedOf(name);
        const x = expected.get('x')!;
        const { state, report } = await loaded(model, x, expected.get('dy')!, `${name}.${kind}`);
        expect(report.matched).to.have.length(state.tensors.size);
        expect(report.ignored.every((one) => one.endsWith('.num_batches_tracked'))).to.equal(true);
        expect(relativeError(await scoresOf(model, state, x), expected.get('logits')!)).to.be.below(tolerance.scores);
      });

    it(`${name}: all gradients and running statistics of a training step`, async () => {
      const expected = await expectedOf(name);
      const [x, dy] = [expected.get('x')!, expected.get('dy')!];
      const { state, training } = await loaded(model, x, dy, `${name}.pth`);
      const out = await runOnce(training, feedsOf(state, { x, dy }));
      const products = expected.get('training')!.data.reduce((sum, value, i) => sum + value * dy.data[i]!, 0);
      expect(Number(out.loss!.data[0])).to.be.closeTo(products, 1e-4 * Math.max(1, Math.abs(products)));
      let [grads, statistics] = [0, 0];
      for (const { name: own, kind } of state.specs) {
        const ours = kind === 'param' ? gradName(own) : nextName(own);
        const theirs = expected.get(kind === 'param' ? `grad/${own}` : `next/${own}`)!;
        const scale = isVoid(theirs) ? expected.get(`grad/${own.replace(/bias$/, 'weight')}`)! : theirs;
        expect(differenceOf(out[ours]!, theirs, scale), ours).to.be.below(tolerance.gradients);
        if (kind === 'param') grads++;
        else statistics++;
      }
      const counted = (prefix: string): number => [...expected.keys()].filter((one) => one.startsWith(prefix)).length;
      expect([grads, statistics]).to.deep.equal([counted('grad/'), counted('next/')]);
    });
  }

  it('a tensor in another place would show', async () => {
    const expected = await expectedOf('basic');
    const x = expected.get('x')!;
    const { state } = await loaded(nets.basic!, x, expected.get('dy')!, 'basic.pth');
    const [one, other] = ['layer1.0.bn1.running_var', 'layer1.0.bn2.running_var'].map(
      (name) => state.tensors.get(name)!.data,
    );
    const kept = one!.slice();
    one!.set(other!);
    other!.set(kept);
    expect(relativeError(await scoresOf(nets.basic!, state, x), expected.get('logits')!)).to.be.above(0.01);
  });
});
