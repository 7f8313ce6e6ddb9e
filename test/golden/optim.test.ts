import { expect } from 'chai';
import type { Tensor } from '../../training/core/tensor.ts';
import { compileOptimizer, compileStep } from '../../training/loop/compile.ts';
import { zerosInit } from '../../training/nn/init.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { OptimizerDef } from '../../training/optim/define.ts';
import { optimizers } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, setWeights, type TrainState } from '../../training/step/state.ts';
import type { Task } from '../../training/step/train-step.ts';
import { type GoldenCase, goldenCases, type NamedTensors, relativeError, tensorsOf } from './fixtures.ts';

const paramNames = ['w1', 'b1', 'w2', 'b2', 'w3', 'b3'];

/** The net of make_fixtures.py's `conv_net_loss`. PyTorch decays biases too, so here every parameter states it decays. */
const convNet = ({ x, labels, ...params }: NamedTensors): Task => ({
  name: 'conv_net',
  inputs: [
    { name: 'x', dtype: 'float32', shape: x!.dims },
    { name: 'labels', dtype: 'int32', shape: labels!.dims },
  ],
  forward: (scope, inputs) => {
    const values = paramNames.map((name) => scope.param(name, params[name]!.dims, zerosInit, true));
    const [w1, b1, w2, b2, w3, b3] = values as [Value, Value, Value, Value, Value, Value];
    const one = o.relu(o.conv(inputs.x!, w1, b1, { padding: 1 }));
    const two = o.relu(o.conv(one, w2, b2, { stride: 2, padding: 1 }));
    const logits = o.gemm(o.reshape(two, [two.shape[0] as number, -1]), w3, b3, { transB: true });
    return { loss: crossEntropyLoss(logits, inputs.labels!) };
  },
});

const int32 = ({ dims, data }: Tensor<'float32'>): Tensor<'int32'> => ({
  dtype: 'int32',
  dims,
  data: Int32Array.from(data),
});
const copyParams = (state: TrainState): NamedTensors =>
  Object.fromEntries([...state.tensors].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]));

/** Five steps by the trainer that the learner uses: loss before, parameters after each. */
async function walk(golden: GoldenCase): Promise<{ loss: number; params: NamedTensors }[]> {
  const inputs = tensorsOf(golden.inputs);
  const optimizer: OptimizerDef = optimizers[golden.op as keyof typeof optimizers];
  const open = (model: Uint8Array) => openSession(model, { threads: 1 });
  const step = await compileStep(convNet(inputs), open);
  const state = createState(step.graphs.specs, { optimizer });
  setWeights(state, new Map(paramNames.map((name) => [name, inputs[name]!.data])));
  const update = await compileOptimizer(optimizer, state, open);
  const hyper = Object.fromEntries(Object.entries(golden.attrs).map(([name, value]) => [name, Number(value)]));
  const path: { loss: number; params: NamedTensors }[] = [];
  for (let i = 0; i < 5; i++) {
    const loss = await step.gradients(state, { x: inputs.x!, labels: int32(inputs.labels!) });
    await update.update(state, hyper);
    path.push({ loss, params: copyParams(state) });
  }
  await Promise.all([step.release(), update.release()]);
  return path;
}

describe('optimisers against PyTorch, five steps', () => {
  for (const golden of goldenCases.filter(({ steps }) => steps !== undefined)) {
    it(`${golden.op}, ${golden.name}`, async () => {
      const path = await walk(golden);
      golden.steps!.forEach(({ loss, params }, i) => {
        expect(path[i]!.loss, `loss of step ${i + 1}`).to.be.closeTo(loss, 2e-6 * loss);
        for (const [name, value] of Object.entries(tensorsOf(params))) {
          expect(relativeError(path[i]!.params[name]!, value), `${name} after step ${i + 1}`).to.be.below(2e-5);
        }
      });
    });
  }
});
