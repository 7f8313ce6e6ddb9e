import { expect } from 'chai';
import { humanNumbersModels } from '../../models/human-numbers.ts';
import { ladderLearner } from '../../scripts/results/human-numbers.ts';
import { createRng } from '../../training/core/rng.ts';
import { i32, type Tensor } from '../../training/core/tensor.ts';
import type { Learner } from '../../training/learner/learner.ts';
import { compileStep } from '../../training/loop/compile.ts';
import * as nn from '../../training/nn/layers.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import * as o from '../../training/ops/build.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState } from '../../training/step/state.ts';
import { gradName, type Task } from '../../training/step/train-step.ts';

const open = (graph: Uint8Array) => openSession(graph, { threads: 1 });

/** Words [64,T] of a text of which row b, column t is the same whatever T. */
function words(length: number, from = 0): Tensor<'int32'> {
  const rows = Array.from({ length: 64 }, (_, b) =>
    Array.from({ length }, (_, t) => createRng('words', b, from + t).int(0, 37)),
  );
  return i32([64, length], rows.flat());
}

/** Scores f32[64,T,38] by the learner's evaluation graph, which carries the state on. */
async function scores(learner: Learner, x: Tensor<'int32'>): Promise<Float32Array> {
  const evaluation = await learner.compiled.evaluation({ x, y: x });
  return (await evaluation.evaluate(learner.state, { x, y: x })).prediction!.data as Float32Array;
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

describe('a state that is carried from batch to batch', function () {
  this.timeout(120_000);

  for (const index of [3, 4, 5]) {
    it(`Model${index}: two batches of three words give the scores of one batch of six`, async () => {
      const learner = await ladderLearner(index, 1);
      const whole = await scores(learner, words(6));
      learner.state.tensors.get('h')!.data.fill(0);
      await scores(learner, words(3));
      const second = await scores(learner, words(3, 3));
      learner.state.tensors.get('h')!.data.fill(0);
      const forgotten = await scores(learner, words(3, 3));
      const last = Float32Array.from({ length: second.length }, (_, i) => {
        const [row, rest] = [Math.floor(i / (3 * 38)), i % (3 * 38)];
        return whole[row * 6 * 38 + 3 * 38 + rest]!;
      });
      expect(largestDifference(second, last)).to.be.below(1e-5);
      expect(largestDifference(forgotten, last)).to.be.above(1e-2);
      await learner.close();
    });
  }

  it('the gradients of a step are those of the state that it began with', async () => {
    const task: Task = {
      name: 'carried',
      inputs: [{ name: 'x', dtype: 'int32', shape: [64, 4] }],
      forward: (scope, { x }) => ({ loss: o.reduceMean(o.pow(humanNumbersModels[3](scope, x!), 2)) }),
    };
    const step = await compileStep(task, open);
    const state = createState(step.graphs.specs, { optimizer: adamw });
    initState(state, 1);
    await step.gradients(state, { x: words(4) });
    const begun = Object.fromEntries(
      [...state.tensors].map(([name, one]) => [name, { ...one, data: one.data.slice() }]),
    );
    await step.gradients(state, { x: words(4, 4) });
    const plain = await open(toOnnx(step.graphs.training));
    const results = await plain.run({ x: words(4, 4), ...begun });
    for (const name of step.graphs.trained) {
      const [got, wanted] = [state.gradTensors.get(name)!.data, results[gradName(name)]!.data as Float32Array];
      expect(largestDifference(got, wanted), name).to.equal(0);
      expect(
        wanted.some((value) => value !== 0),
        name,
      ).to.equal(true);
    }
    expect(largestDifference(state.tensors.get('h')!.data, begun.h!.data)).to.be.above(0.1);
    await Promise.all([step.release(), plain.release()]);
  });

  it('a batch norm that is used twice in a pass updates its statistics twice', async () => {
    const task: Task = {
      name: 'twice',
      inputs: [{ name: 'x', dtype: 'float32', shape: [2, 1] }],
      forward: (scope, { x }) => {
        const norm = (value: typeof x): typeof x => scope.share('bn', (s) => nn.batchNorm(s, value!));
        return { loss: o.reduceMean(o.add(norm(x)!, norm(o.add(x!, 10))!)) };
      },
    };
    const step = await compileStep(task, open);
    const state = createState(step.graphs.specs, { optimizer: adamw });
    initState(state, 1);
    await step.gradients(state, { x: { dtype: 'float32', dims: [2, 1], data: Float32Array.of(1, 3) } });
    // Means 2 and 12, unbiased variances 2 and 2.
    expect(state.tensors.get('bn.running_mean')!.data[0]).to.be.closeTo(0.9 * (0.1 * 2) + 0.1 * 12, 1e-5);
    expect(state.tensors.get('bn.running_var')!.data[0]).to.be.closeTo(0.9 * (0.9 + 0.2) + 0.2, 1e-5);
    await step.release();
  });
});
