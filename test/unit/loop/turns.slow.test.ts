import { expect } from 'chai';
import { createRng } from '../../../training/core/rng.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { type Callback, type EpochSource, fitLoop } from '../../../training/loop/fit-loop.ts';
import { newProgress, type Progress } from '../../../training/loop/recorder.ts';
import { compileTurns, type Turn } from '../../../training/loop/turns.ts';
import { linear } from '../../../training/nn/layers.ts';
import { bceWithLogitsLoss } from '../../../training/nn/losses.ts';
import { createScope, type Scope } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';
import * as o from '../../../training/ops/build.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { encodeCheckpoint, restoreCheckpoint } from '../../../training/runs/checkpoint.node.ts';
import { createState, initState, type TrainState } from '../../../training/step/state.ts';
import type { Task } from '../../../training/step/train-step.ts';

const open = (model: Uint8Array) => openSession(model, { threads: 1 });

/** Noise and real samples of a batch. */
const n = 32;
const inputs = ['noise', 'real'].map((name) => ({ name, dtype: 'float32' as const, shape: [n, 1] }));
const hidden = 16;

const generator = (scope: Scope, noise: Value): Value => scope.in('generator', (s) => linear(s, noise, 1));
const critic = (scope: Scope, samples: Value): Value =>
  scope.in('critic', (s) => {
    const inner = s.in('one', (one) => o.relu(linear(one, samples, hidden)));
    return s.in('two', (two) => linear(two, inner, 1));
  });
/** Cross-entropy of scores against one answer for all. */
const against = (scores: Value, answer: number): Value =>
  bceWithLogitsLoss(scores, o.add(o.mul(scores.graph.constant('float32', [n, 1], new Float32Array(n)), 0), answer));

/** The critic learns to tell real samples from made ones: both in one pass, so that its parameters are declared once. */
const criticTask: Task = {
  name: 'critic',
  inputs,
  forward: (scope, { noise, real }) => {
    const scores = critic(scope, o.concat([real!, generator(scope, noise!)], 0));
    const rows = (from: number): Value => o.slice(scores, { axes: [0], starts: [from], ends: [from + n] });
    return { loss: o.add(against(rows(0), 1), against(rows(n), 0)) };
  },
};
/** The generator learns to have its samples taken for real. */
const generatorTask: Task = {
  name: 'generator',
  inputs: inputs.slice(0, 1),
  forward: (scope, { noise }) => ({ loss: against(critic(scope, generator(scope, noise!)), 1) }),
};

const groupOf = (name: string): number => (name.startsWith('critic.') ? 0 : 1);

/** A critic and a generator with first values, the generator's samples far from the real ones. */
function freshState(): TrainState {
  const graph = new Graph('specs');
  const scope = createScope(graph, { training: false });
  critic(scope, generator(scope, graph.input('noise', 'float32', [n, 1])));
  const state = createState(scope.specs, { optimizer: adamw, groupOf });
  initState(state, 5);
  return state;
}

/** Real samples are around 3. */
const sourceOf = (epoch: number): EpochSource => ({
  batchesPerEpoch: 100,
  async *batches(fromBatch) {
    for (let i = fromBatch; i < 100; i++) {
      const rng = createRng('turns', epoch, i);
      const samples = (centre: number): number[] => Array.from({ length: n }, () => centre + 0.5 * rng.normal());
      yield { noise: f32([n, 1], samples(0)), real: f32([n, 1], samples(3)) };
    }
  },
});

const criticTwice: readonly Turn[] = [
  { task: criticTask, group: 0 },
  { task: criticTask, group: 0 },
  { task: generatorTask, group: 1 },
];

async function train(state: TrainState, epochs: number, callbacks: readonly Callback[] = [], progress?: Progress) {
  const step = await compileTurns(state, criticTwice, { open, optimizer: adamw, groupOf });
  const rows = await fitLoop({
    state,
    step,
    epochs,
    totalBatches: 100 * epochs,
    sourceOf,
    hyperAt: () => ({ lr: 0.02, wd: 0, beta1: 0.5 }),
    validate: async () => ({}),
    seed: 1,
    callbacks,
    ...(progress === undefined ? {} : { progress }),
  });
  await step.release();
  return rows;
}

/** The parameters whose group is `group`, as bits. */
const bitsOf = (state: TrainState, group: number): string =>
  [...state.tensors]
    .filter(([name]) => groupOf(name) === group)
    .map(([, { data }]) => Buffer.from(data.slice().buffer).toString('hex'))
    .join();

describe('steps that take turns over one loop', function () {
  this.timeout(60_000);

  it('a generator learns from a critic where the real samples lie', async () => {
    const state = freshState();
    const centre = (): number => state.tensors.get('generator.bias')!.data[0]!;
    expect(Math.abs(centre() - 3)).to.be.above(2);
    const rows = await train(state, 6);
    expect(rows).to.have.length(6);
    expect(Math.abs(centre() - 3)).to.be.below(0.6);
  });

  it('each changes its own parameters alone, and two of three updates are the critic’s', async () => {
    const state = freshState();
    const changed: string[] = [];
    let before = [bitsOf(state, 0), bitsOf(state, 1)];
    const watch: Callback = {
      name: 'watch',
      afterBatch: ({ stop }) => {
        const now = [bitsOf(state, 0), bitsOf(state, 1)];
        changed.push(now.map((bits, group) => (bits === before[group] ? '' : String(group))).join(''));
        before = now;
        if (changed.length === 7) stop();
      },
    };
    await train(state, 1, [watch]);
    expect(changed.join(' ')).to.equal('0 0 1 0 0 1 0');
  });

  it('the optimiser of each counts its own updates: the generator’s first moves by the rate', async () => {
    const state = freshState();
    const before = state.tensors.get('generator.bias')!.data[0]!;
    const third: Callback = { name: 'third', afterBatch: ({ stop }) => void (state.step === 3 && stop()) };
    await train(state, 1, [third]);
    expect(Math.abs(state.tensors.get('generator.bias')!.data[0]! - before)).to.be.closeTo(0.02, 1e-5);
  });

  it('stopped in the middle of a turn’s round and resumed, it ends with the bits of a run that was not', async () => {
    const whole = freshState();
    const expected = await train(whole, 2);
    const first = freshState();
    const progress = newProgress();
    const at: Callback = { name: 'at', afterBatch: ({ state, stop }) => void (state.step === 137 && stop()) };
    await train(first, 2, [at], progress);
    const resumed = freshState();
    const from = restoreCheckpoint(encodeCheckpoint(first, progress, 'turns'), resumed, 'turns');
    const rows = await train(resumed, 2, [], from);
    expect(rows.map(({ trainLoss }) => trainLoss)).to.deep.equal(expected.map(({ trainLoss }) => trainLoss));
    expect([0, 1].map((group) => bitsOf(resumed, group))).to.deep.equal([0, 1].map((group) => bitsOf(whole, group)));
    expect(resumed.moments).to.deep.equal(whole.moments);
  });
});
