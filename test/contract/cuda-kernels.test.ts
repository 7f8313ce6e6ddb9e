import { expect } from 'chai';
import { awdLstmDefaults } from '../../models/awd-lstm.ts';
import { dynamicUnet } from '../../models/dynamic-unet.ts';
import { humanNumbersModels, scoresLastWord } from '../../models/human-numbers.ts';
import { languageModelWindow } from '../../models/language-model.ts';
import { mnistNets } from '../../models/mnist.ts';
import { resnet, resnetConfigs, resnetEncoder } from '../../models/resnet.ts';
import { smallEncoder } from '../../models/small-encoder.ts';
import { restoreUnetDefaults } from '../../models/unet.ts';
import { vgg, vggConfigs } from '../../models/vgg.ts';
import { restoreTask } from '../../tasks/restore/net.ts';
import { segmentNet, segmentNetDefaults } from '../../tasks/segment/net.ts';
import { backward } from '../../training/grad/backward.ts';
import { buildUpdate } from '../../training/loop/compile.ts';
import * as nn from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import type { Scope } from '../../training/nn/scope.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import { defaultOpset, newestOpset } from '../../training/onnx/opsets.ts';
import * as o from '../../training/ops/build.ts';
import { opTable } from '../../training/ops/table.ts';
import type { OptimizerDef } from '../../training/optim/define.ts';
import { optimizers } from '../../training/optim/optimizers.ts';
import type { Span } from '../../training/step/state.ts';
import { buildEvaluation, buildStep, type Task } from '../../training/step/train-step.ts';
import { graphOf } from '../golden/compute.ts';
import { goldenCases } from '../golden/fixtures.ts';
import { layerForm } from '../golden/layer-forms.ts';
import { opForm } from '../golden/op-forms.ts';
import { samples } from '../grad/samples.ts';
import { cudaKernels, nodesOf, whyNoKernel, withoutKernel } from './cuda-kernels.ts';

/*
 * CUDA has not been executed. That nothing of a training would leave the GPU there is proven from the list of kernels that
 * ONNX Runtime publishes: for every node an entry of its operator's version and types. Attributes are not in that list.
 */

/** What training graphs are run and exported with. */
const opset = defaultOpset;
/** Operators that the list has kernels for, but none for the version that opset 21 means: such nodes would run on the CPU. */
const missingAtNewest = ['Equal', 'Identity', 'Pad', 'ReduceMax', 'Scan'];

type Model = (scope: Scope, x: Value) => Value;

const classes = (name: string, shape: readonly number[], model: Model): Task => ({
  name,
  inputs: [
    { name: 'x', dtype: 'float32', shape },
    { name: 'y', dtype: 'int32', shape: [shape[0]!] },
  ],
  forward: (scope, { x, y }) => ({ loss: losses.crossEntropyLoss(model(scope, x!), y!) }),
});

function wordsTask(index: number, loops: 'unrolled' | 'scan'): Task {
  const model = humanNumbersModels[index]!;
  const last = scoresLastWord(index);
  const [n, t] = [4, index === 0 ? 3 : 6];
  return {
    name: `words${index}`,
    loops,
    inputs: [
      { name: 'x', dtype: 'int32', shape: [n, t] },
      { name: 'y', dtype: 'int32', shape: last ? [n] : [n, t] },
    ],
    forward: (scope, { x, y }) => {
      const scores = model(scope, x!);
      const flat = last ? scores : o.reshape(scores, [-1, scores.shape[2] as number]);
      return { loss: losses.crossEntropyLoss(flat, last ? y! : o.reshape(y!, [-1])) };
    },
  };
}

/** A language model over a window of 6 words, with all its dropouts and penalties, its states carried on. */
const languageTask = (loops: 'unrolled' | 'scan', cell: 'lstm' | 'gru'): Task => ({
  name: 'language',
  loops,
  inputs: [{ name: 'x', dtype: 'int32', shape: [2, 7] }],
  forward: (scope, { x }) => {
    const config = { ...awdLstmDefaults, words: 30, width: 8, hidden: 12, cell };
    return { loss: languageModelWindow(scope, x!, config).loss };
  },
});

/** Pixels with classes, for nets that make maps. */
const pixels = (model: Model, [height, width] = [64, 96]): Task => ({
  name: 'pixels',
  inputs: [
    { name: 'x', dtype: 'float32', shape: [2, 3, height, width] },
    { name: 'y', dtype: 'int32', shape: [2, height, width] },
  ],
  forward: (scope, { x, y }) => ({ loss: losses.crossEntropyLoss(model(scope, x!), y!, { ignoreIndex: 4 }) }),
});
const everyOption = {
  classes: 5,
  blur: true,
  selfAttention: true,
  bottle: true,
  norm: 'spectral',
  yRange: [-3, 3],
} as const;

/** A net that has every layer with random numbers or running statistics. */
const droppingTask = classes('dropping', [4, 3, 8, 8], (scope, x) => {
  const one = scope.in('conv', (s) => nn.convBlock(s, x, { filters: 6, stride: 2 }));
  const two = nn.dropout2d(scope, nn.dropout(scope, one, 0.2), 0.2);
  return scope.in('head', (s) => nn.linear(s, nn.flatten(two), 5));
});

/** The training graph of every recipe, and of the larger nets. */
const tasks: Readonly<Record<string, () => Task>> = {
  ...Object.fromEntries(
    Object.entries(mnistNets).map(([name, net]) => [`mnist ${name}`, () => classes('mnist', [8, 1, 28, 28], net)]),
  ),
  'restore, mse': () => restoreTask(restoreUnetDefaults, 'mse', [2, 64, 64]),
  'restore, l1': () => restoreTask({ ...restoreUnetDefaults, selfAttention: true }, 'l1', [2, 64, 64]),
  ...Object.fromEntries(
    humanNumbersModels.flatMap((_, i) =>
      (['unrolled', 'scan'] as const).map((loops) => [`human numbers ${i}, ${loops}`, () => wordsTask(i, loops)]),
    ),
  ),
  'dropouts and batch norm': () => droppingTask,
  ...Object.fromEntries(
    (['unrolled', 'scan'] as const).flatMap((loops) =>
      (['lstm', 'gru'] as const).map((cell) => [`AWD-LSTM of ${cell}, ${loops}`, () => languageTask(loops, cell)]),
    ),
  ),
  'DynamicUnet on ResNet-34': () =>
    pixels((s, x) => dynamicUnet(s, x, resnetEncoder(resnetConfigs.resnet34), { classes: 5 })),
  'DynamicUnet on ResNet-50, every option, odd sizes': () =>
    pixels((s, x) => dynamicUnet(s, x, resnetEncoder({ ...resnetConfigs.resnet50, width: 8 }), everyOption), [61, 90]),
  'DynamicUnet on the small encoder, batch norm': () =>
    pixels((s, x) => dynamicUnet(s, x, smallEncoder(), { classes: 5, norm: 'batch' })),
  segment: () => pixels((s, x) => segmentNet(s, x, { ...segmentNetDefaults, classes: 5 })),
  'ResNet-34': () => classes('resnet', [2, 3, 64, 64], (s, x) => resnet(s, x, resnetConfigs.resnet34)),
  'ResNet-50': () => classes('resnet', [2, 3, 64, 64], (s, x) => resnet(s, x, resnetConfigs.resnet50)),
  'ResNet-18': () => classes('resnet', [2, 3, 64, 64], (s, x) => resnet(s, x, resnetConfigs.resnet18)),
  'VGG16-bn': () => classes('vgg', [2, 3, 64, 64], (s, x) => vgg(s, x, vggConfigs.vgg16_bn)),
};

function expectKernels(graph: Graph, least = 1): void {
  expect(graph.nodes.length).to.be.at.least(least);
  expect(withoutKernel(graph, opset)).to.deep.equal([]);
}

describe('CUDA kernels for every node, from the list that ONNX Runtime publishes', function () {
  this.timeout(60_000);

  it('the list has every operator that fettle can emit, and no other', () => {
    expect(Object.keys(cudaKernels.operators).sort()).to.deep.equal(Object.keys(opTable).sort());
    expect(cudaKernels.commit).to.match(/^[0-9a-f]{40}$/);
  });

  it('at the newest opset it lacks these versions, so that training graphs stay at the default one', () => {
    const v: Value = { graph: new Graph('empty'), name: 'v', dtype: 'float32', shape: [2] };
    const lacking = (at: number): string[] =>
      Object.keys(opTable).filter((op) =>
        whyNoKernel({ op, domain: '', inputs: [v], outputs: [] }, at)?.endsWith(`none at opset ${at}`),
      );
    expect(lacking(opset)).to.deep.equal([]);
    expect(lacking(newestOpset).sort()).to.deep.equal(missingAtNewest);
  });

  for (const [name, make] of Object.entries(tasks)) {
    it(`training and evaluation: ${name}`, () => {
      const { training } = buildStep(make());
      expectKernels(training, 40);
      expectKernels(buildEvaluation(make()), 10);
    });
  }

  it('every optimiser as it is run: in pieces, tensors of one span sharing hyper-parameters, with and without clipping', () => {
    const plain = { group: 0, decay: true, norm: false };
    const spans: readonly Span[] = [
      { ...plain, offset: 0, size: 2 ** 18 + 5 },
      { ...plain, offset: 2 ** 18 + 5, size: 3, decay: false },
    ];
    for (const def of Object.values<OptimizerDef>(optimizers)) {
      for (const clip of [false, true]) {
        const { pieces, graph } = buildUpdate(def, spans, clip);
        expect(pieces.map(({ size, span }) => [size, span])).to.deep.equal([
          [2 ** 18, 0],
          [5, 0],
          [3, 1],
        ]);
        expectKernels(graph);
      }
    }
  });

  it('every operator with its derivative', () => {
    const seen = new Set<string>();
    for (const sample of Object.values(samples).flatMap((rows) => (rows === 'none' ? [] : rows))) {
      const graph = new Graph('sample');
      const inputs = sample.shapes.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
      const y = sample.build(...inputs);
      const grads = backward(o.reduceSum(o.mul(y, y)), inputs.slice(0, sample.wrt ?? inputs.length));
      expect(grads.size).to.be.above(0);
      expectKernels(graph);
      for (const { op } of nodesOf(graph)) seen.add(op);
    }
    const derived = Object.entries(samples).flatMap(([op, rows]) => (rows === 'none' ? [] : [op]));
    expect(derived.filter((op) => !seen.has(op))).to.deep.equal([]);
  });

  it('every layer and loss with its derivative', () => {
    const found = goldenCases.filter(({ steps }) => steps === undefined);
    for (const golden of found) {
      const { golden: used, form } = layerForm(golden) ?? { golden, form: opForm(golden)! };
      expectKernels(graphOf(used, form).graph);
    }
    expect(found.length).to.be.above(50);
  });

  it('says which kernel is missing', () => {
    const graph = new Graph('missing');
    const value = (dtype: Value['dtype']): Value => ({ graph, name: 'v', dtype, shape: [2] });
    const node = (op: string, inputs: Value[], outputs: Value[], domain = '') => ({ op, domain, inputs, outputs });
    const [f, i, u, b] = (['float32', 'int32', 'uint32', 'bool'] as const).map(value) as [Value, Value, Value, Value];
    expect(whyNoKernel(node('Add', [f, f], [f]), 18)).to.equal(undefined);
    expect(whyNoKernel(node('Add', [f, i], [f]), 18)).to.equal('Add: T = int32 and float');
    expect(whyNoKernel(node('Where', [b, u, u], [u]), 18)).to.match(/^Where: T = uint32, not one of bfloat16 /);
    expect(whyNoKernel(node('ReduceMax', [f], [f]), 17)).to.equal('ReduceMax: none at opset 17');
    // A kernel without an end takes the version that it was written for, and no later one; one with an end takes those between.
    expect(whyNoKernel(node('Equal', [f, f], [b]), 18)).to.equal(undefined);
    expect(whyNoKernel(node('Equal', [f, f], [b]), 19)).to.equal('Equal: none at opset 19');
    expect(whyNoKernel(node('AveragePool', [f], [f]), 21)).to.equal(undefined);
    expect(whyNoKernel(node('Sign', [f], [f]), 18)).to.equal('Sign: no kernel at all');
    expect(whyNoKernel(node('Conv', [f, f], [f], 'com.microsoft.nchwc'), 18)).to.match(/no kernel at all/);
    expect(whyNoKernel(node('Neg', [f, f], [f]), 18)).to.match(/a parameter more than the 1/);
  });
});
