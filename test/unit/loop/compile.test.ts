import { expect } from 'chai';
import type { FettleError } from '../../../training/core/errors.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { compileOptimizer, compileStep } from '../../../training/loop/compile.ts';
import { linear } from '../../../training/nn/layers.ts';
import { mseLoss } from '../../../training/nn/losses.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { createState, initState, type TrainState } from '../../../training/step/state.ts';
import type { Task } from '../../../training/step/train-step.ts';

const open = (model: Uint8Array) => openSession(model, { threads: 1 });

const task: Task = {
  name: 'line',
  inputs: [
    { name: 'x', dtype: 'float32', shape: [2, 3] },
    { name: 'y', dtype: 'float32', shape: [2, 1] },
  ],
  forward: (scope, { x, y }) => ({ loss: mseLoss(linear(scope, x!, 1), y!) }),
};

async function compiled() {
  const step = await compileStep(task, open);
  const stateOf = (seed: number): TrainState => {
    const state = createState(step.graphs.specs, { optimizer: adamw });
    initState(state, seed);
    return state;
  };
  const [state, other] = [stateOf(1), stateOf(2)];
  const optimizer = await compileOptimizer(adamw, state, open);
  const batch = { x: f32([2, 3], [1, 2, 3, -1, 0.5, 2]), y: f32([2, 1], [1, -1]) };
  for (const one of [state, other]) await step.gradients(one, batch);
  return { state, other, optimizer };
}

const numbersOf = ({ params, moments, step }: TrainState) => [[...params], moments.map((one) => [...one]), step];

async function refusal(promise: Promise<void>): Promise<readonly [string, string]> {
  const error = await promise.then(
    () => undefined,
    (reason: FettleError) => reason,
  );
  return [error?.code ?? 'none', error?.message ?? ''];
}

describe('a compiled optimiser', () => {
  it('refuses another state than its own, and changes neither', async () => {
    const { state, other, optimizer } = await compiled();
    const before = [numbersOf(state), numbersOf(other)];
    const [code, message] = await refusal(optimizer.update(other, { lr: 0.1 }));
    expect(code).to.equal('bad-argument');
    expect(message).to.match(/expected the state that this adamw was compiled for, got another/);
    expect([numbersOf(state), numbersOf(other)]).to.deep.equal(before);
    await optimizer.update(state, { lr: 0.1 });
    expect([...state.params]).to.not.deep.equal((before[0] as unknown[])[0]);
  });

  it('counts the updates that were made, not those that failed', async () => {
    const { state, optimizer } = await compiled();
    await optimizer.update(state, { lr: 0.1, maxNorm: 1 });
    expect(state.step).to.equal(1);
    const before = numbersOf(state);
    expect((await refusal(optimizer.update(state, { lr: [] })))[0]).to.equal('bad-argument');
    expect((await refusal(optimizer.update(state, { lr: [], maxNorm: 1 })))[0]).to.equal('bad-argument');
    expect(numbersOf(state)).to.deep.equal(before);
    await optimizer.update(state, { lr: 0.1 });
    expect(state.step).to.equal(2);
  });

  it('the first update is step 1 of its formula: AdamW moves by the rate, whatever the gradient', async () => {
    const { state, optimizer } = await compiled();
    const before = state.params.slice();
    await optimizer.update(state, { lr: 0.1, wd: 0 });
    for (const [i, value] of state.params.entries()) expect(Math.abs(value - before[i]!)).to.be.closeTo(0.1, 1e-5);
  });

  it('refuses a hyper-parameter that it does not have, and says which was meant', async () => {
    const { state, optimizer } = await compiled();
    const [code, message] = await refusal(optimizer.update(state, { lr: 0.1, beta_1: 0.8 }));
    expect(code).to.equal('bad-argument');
    expect(message).to.match(/got beta_1; did you mean beta1\?/);
    expect(state.step).to.equal(0);
  });
});
