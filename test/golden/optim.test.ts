import { expect } from 'chai';
import { f32, type Tensor, tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { buildOptimizer, type OptimizerDef } from '../../training/optim/define.ts';
import { optimizers } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { type GoldenCase, goldenCases, type NamedTensors, relativeError, tensorsOf } from './fixtures.ts';

const paramNames = ['w1', 'b1', 'w2', 'b2', 'w3', 'b3'];

/** The net of make_fixtures.py's `conv_net_loss`: outputs `loss` and `grad/NAME`. */
function lossGraph(inputs: NamedTensors): Graph {
  const graph = new Graph('conv_net');
  const entries = Object.entries(inputs).map(([name, { dims }]) => [name, graph.input(name, 'float32', dims)] as const);
  const { w1, b1, w2, b2, w3, b3, x, labels } = Object.fromEntries(entries) as Record<string, Value>;
  const one = o.relu(o.conv(x!, w1!, b1, { padding: 1 }));
  const two = o.relu(o.conv(one, w2!, b2, { stride: 2, padding: 1 }));
  const logits = o.gemm(o.reshape(two, [two.shape[0] as number, -1]), w3!, b3, { transB: true });
  const loss = crossEntropyLoss(logits, o.cast(labels!, 'int32'));
  const params = entries.filter(([name]) => paramNames.includes(name));
  const grads = backward(
    loss,
    params.map(([, value]) => value),
  );
  graph.output('loss', loss);
  for (const [name, value] of params) graph.output(`grad/${name}`, grads.get(value)!);
  return graph;
}

/** Flat views `param.i`, moments and hyper-parameters of every segment, as the optimiser graph names them. */
function optimizerState(golden: GoldenCase, params: readonly Tensor<'float32'>[]): Record<string, Tensor<'float32'>> {
  const { moments, hyper } = optimizers[golden.op as keyof typeof optimizers];
  const feeds: Record<string, Tensor<'float32'>> = {};
  params.forEach(({ data }, i) => {
    feeds[`param.${i}`] = tensor('float32', [data.length], data);
    for (const name of moments) feeds[`${name}.${i}`] = f32([data.length], new Float32Array(data.length));
    for (const [name, value] of Object.entries(hyper))
      feeds[`${name}.${i}`] = f32([], [Number(golden.attrs[name] ?? value)]);
  });
  return feeds;
}

/** Five steps as training does them: gradients, then parameters and moments updated in their own memory. */
async function walk(golden: GoldenCase): Promise<{ loss: number; params: NamedTensors }[]> {
  const inputs = tensorsOf(golden.inputs);
  const params = paramNames.map((name) => inputs[name]!);
  const state = optimizerState(golden, params);
  const def = optimizers[golden.op as keyof typeof optimizers] as OptimizerDef;
  const forward = await openSession(toOnnx(lossGraph(inputs)), { threads: 1 });
  const update = await openSession(
    toOnnx(
      buildOptimizer(
        def,
        params.map(({ data }) => data.length),
      ),
    ),
    { threads: 1 },
  );
  const fetches = Object.fromEntries(update.outputNames.map((name) => [name, state[name.replace(/\.next$/, '')]!]));
  const path: { loss: number; params: NamedTensors }[] = [];
  for (let step = 1; step <= 5; step++) {
    const out = await forward.run(inputs);
    const grads = paramNames.map((name, i) => [
      `grad.${i}`,
      { ...out[`grad/${name}`]!, dims: [params[i]!.data.length] },
    ]);
    await update.run({ ...state, ...Object.fromEntries(grads), step: f32([], [step]) }, fetches);
    const copies = paramNames.map((name, i) => [name, { ...params[i]!, data: params[i]!.data.slice() }]);
    path.push({ loss: Number(out.loss!.data[0]), params: Object.fromEntries(copies) });
  }
  await Promise.all([forward.release(), update.release()]);
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
