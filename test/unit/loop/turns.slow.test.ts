import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createRng } from '../../../training/core/rng.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { createLearner, type Learner, type LearnerOptions } from '../../../training/learner/learner.ts';
import { type Callback, type EpochSource, fitLoop } from '../../../training/loop/fit-loop.ts';
import { newProgress, type Progress } from '../../../training/loop/recorder.ts';
import { compileTurns, type Turn } from '../../../training/loop/turns.ts';
import { linear } from '../../../training/nn/layers.ts';
import { bceWithLogitsLoss, mseLoss } from '../../../training/nn/losses.ts';
import { createScope, type Scope } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';
import * as o from '../../../training/ops/build.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { encodeCheckpoint, restoreCheckpoint } from '../../../training/runs/checkpoint.node.ts';
import { runFolder } from '../../../training/runs/run-folder.node.ts';
import { createState, initState, type TrainState } from '../../../training/step/state.ts';
import type { Task } from '../../../training/step/train-step.ts';

const open = (model: Uint8Array) => openSession(model, { threads: 1 });

/** x: noise; y: real samples. */
const n = 32;
const inputs = ['x', 'y'].map((name) => ({ name, dtype: 'float32' as const, shape: [n, 1] }));
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
  forward: (scope, { x, y }) => {
    const scores = critic(scope, o.concat([y!, generator(scope, x!)], 0));
    const rows = (from: number): Value => o.slice(scores, { axes: [0], starts: [from], ends: [from + n] });
    return { loss: o.add(against(rows(0), 1), against(rows(n), 0)) };
  },
};
/** The generator learns to have its samples taken for real. */
const generatorTask: Task = {
  name: 'generator',
  inputs: inputs.slice(0, 1),
  forward: (scope, { x }) => ({ loss: against(critic(scope, generator(scope, x!)), 1) }),
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
async function* batchesOf(epoch: number, fromBatch: number) {
  for (let i = fromBatch; i < 100; i++) {
    const rng = createRng('turns', epoch, i);
    const samples = (centre: number): number[] => Array.from({ length: n }, () => centre + 0.5 * rng.normal());
    yield { x: f32([n, 1], samples(0)), y: f32([n, 1], samples(3)) };
  }
}
const sourceOf = (epoch: number): EpochSource => ({
  batchesPerEpoch: 100,
  batches: (fromBatch) => batchesOf(epoch, fromBatch),
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

/** The same as a learner: what it answers is the generator's, and what it measures how far its mean is from the real one. */
const ganLearner = (options: Partial<LearnerOptions> = {}): Promise<Learner> =>
  createLearner({
    model: (scope, x) => {
      const made = generator(scope, x);
      critic(scope, made);
      return made;
    },
    loss: (made, real) => mseLoss(o.reduceMean(made), o.reduceMean(real)),
    data: {
      train: { batchesPerEpoch: 100, epoch: (epoch, { fromBatch = 0 } = {}) => batchesOf(epoch, fromBatch) },
      valid: { batchesPerEpoch: 100, epoch: () => batchesOf(-1, 0) },
    },
    open,
    splitter: groupOf,
    seed: 5,
    wd: 0,
    hyper: { beta1: 0.5 },
    step: ({ state, ...parts }) => compileTurns(state, criticTwice, parts),
    ...options,
  });

/** `open`, and how many of its sessions are open; the one after `most` of them fails. */
function countingOpen(most: number) {
  const count = { live: 0, made: 0 };
  const counted: typeof open = async (model) => {
    if (count.made === most) throw new Error('no room');
    const session = await open(model);
    count.made += 1;
    count.live += 1;
    const { device, inputNames, outputNames } = session;
    const release = (): Promise<void> => {
      count.live -= 1;
      return session.release();
    };
    return { device, inputNames, outputNames, run: (feeds, fetches) => session.run(feeds, fetches), release };
  };
  return { count, open: counted };
}

const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: Error) => error.message,
  );

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

  it('rows have the loss of each task, also of an epoch that was interrupted', async () => {
    const expected = { critic: [] as number[], generator: [] as number[] };
    const listen: Callback = {
      name: 'listen',
      numbers: [],
      afterBatch: ({ loss, state, progress: { epoch } }) => {
        if (epoch === 0) expected[state.step % 3 === 0 ? 'generator' : 'critic'].push(loss);
      },
    };
    const [row] = await train(freshState(), 1, [listen]);
    const mean = (losses: readonly number[]): number => losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    expect([expected.critic.length, expected.generator.length]).to.deep.equal([67, 33]);
    expect(row!.metrics).to.deep.equal({
      'loss/critic': mean(expected.critic),
      'loss/generator': mean(expected.generator),
    });
    const [state, progress] = [freshState(), newProgress()];
    const at: Callback = { name: 'at', afterBatch: ({ stop }) => void (state.step === 50 && stop()) };
    await train(state, 1, [at], progress);
    const resumed = freshState();
    const from = restoreCheckpoint(encodeCheckpoint(state, progress, 'turns'), resumed, 'turns');
    expect((await train(resumed, 1, [], from))[0]!.metrics).to.deep.equal(row!.metrics);
  });

  it('an empty list and two tasks of one name are refused; a compile that fails releases the sessions before it', async () => {
    const state = freshState();
    const options = { open, optimizer: adamw, groupOf };
    expect(await messageOf(compileTurns(state, [], options))).to.include('at least one turn, got an empty list');
    const twice = [...criticTwice, { task: { ...generatorTask, name: 'critic' }, group: 1 }];
    expect(await messageOf(compileTurns(state, twice, options))).to.include('got two named critic');
    for (const most of [1, 2, 3]) {
      const counting = countingOpen(most);
      expect(await messageOf(compileTurns(state, criticTwice, { ...options, open: counting.open }))).to.equal(
        'no room',
      );
      expect(counting.count).to.deep.equal({ live: 0, made: most });
    }
  });

  it('a learner given such a step trains to the same bits, validates, and lets its sessions go', async () => {
    const state = freshState();
    const expected = await train(state, 6);
    const counting = countingOpen(100);
    const learner = await ganLearner({ open: counting.open });
    const rows = await learner.fit(6, 0.02);
    expect(rows.map(({ trainLoss }) => trainLoss)).to.deep.equal(expected.map(({ trainLoss }) => trainLoss));
    expect([0, 1].map((group) => bitsOf(learner.state, group))).to.deep.equal(
      [0, 1].map((group) => bitsOf(state, group)),
    );
    expect(Object.keys(rows[0]!.metrics)).to.deep.equal(['valid_loss', 'loss/critic', 'loss/generator']);
    // The real mean is 3 and noise has the mean 0: the generator's bias is what its mean is.
    expect(rows[5]!.metrics.valid_loss).to.be.closeTo((state.tensors.get('generator.bias')!.data[0]! - 3) ** 2, 0.05);
    expect(await messageOf(learner.freeze())).to.include('expected a learner without the option step');
    await learner.close();
    expect(counting.count.live).to.equal(0);
    await learner.fit(1, 0.02);
    await learner.close();
    expect(counting.count.live).to.equal(0);
  });

  it('its run is kept in a folder, continues from there to the same bits, and not with other turns', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fettle-turns-'));
    const whole = await ganLearner();
    const expected = await whole.fit(2, 0.02);
    const at: Callback = { name: 'at', afterBatch: ({ state, stop }) => void (state.step === 137 && stop()) };
    const first = await ganLearner({ callbacks: [at] });
    await first.fit(2, 0.02, { store: runFolder(folder) });
    const other = await ganLearner({
      step: ({ state, ...parts }) => compileTurns(state, criticTwice.slice(1), parts),
    });
    expect(await messageOf(other.fit(2, 0.02, { store: runFolder(folder) }))).to.match(/expected .*step/);
    const resumed = await ganLearner();
    const best = { metric: 'loss/generator', higher: false };
    const rows = await resumed.fit(2, 0.02, { store: runFolder(folder, { best }) });
    const numbers = (all: typeof rows) => all.map(({ trainLoss, metrics }) => ({ trainLoss, metrics }));
    expect(numbers(rows)).to.deep.equal(numbers(expected));
    expect([0, 1].map((group) => bitsOf(resumed.state, group))).to.deep.equal(
      [0, 1].map((group) => bitsOf(whole.state, group)),
    );
    for (const learner of [whole, first, other, resumed]) await learner.close();
    await rm(folder, { recursive: true });
  });
});
