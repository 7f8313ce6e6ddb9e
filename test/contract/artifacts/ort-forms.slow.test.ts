import { expect } from 'chai';
import { everyWord, humanNumbersModels } from '../../../models/human-numbers.ts';
import { momentsOf } from '../../../training/export/artifacts.ts';
import { type OrtArtifactOptions, ortArtifacts } from '../../../training/export/ort-artifacts.ts';
import { decodeOrtCheckpoint, encodeOrtCheckpoint } from '../../../training/export/ort-checkpoint.ts';
import { type Model, taskOf } from '../../../training/learner/compiled.ts';
import { compileEvaluation, compileOptimizer, compileStep, type Hyper } from '../../../training/loop/compile.ts';
import { onesInit } from '../../../training/nn/init.ts';
import { dropout, linear } from '../../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../../training/nn/losses.ts';
import { decodeModel } from '../../../training/onnx/schema.ts';
import * as o from '../../../training/ops/build.ts';
import { adamw, rmsprop, sgd } from '../../../training/optim/optimizers.ts';
import type { TrainState } from '../../../training/step/state.ts';
import { type Case, distance, flatten, labels, mlp, startState, weightsOf } from '../../helpers/ort-cases.ts';
import { type OrtTrainer, ortTrainer } from '../../helpers/ort-training.ts';
import { openCpu } from '../../helpers/tiny-tasks.ts';

const words = (step: number) => ({
  x: { ...labels(16 * 5, 30, step), dims: [16, 5] },
  y: { ...labels(16 * 5, 30, step + 100), dims: [16, 5] },
});
const carrying = (index: number): Case => ({
  batch: words,
  task: taskOf({ name: 'words', model: humanNumbersModels[index]!, loss: everyWord, activation: (x) => x }, words(0)),
});

/** Scores from the batch before, so that the state's next value is there at once and the old one needed until the end. */
const previous: Case = {
  batch: mlp.batch,
  task: taskOf(
    {
      name: 'previous',
      model: (scope, x) => {
        const before = scope.buffer('h', [16, 8], onesInit);
        scope.update('h', x);
        const scaled = o.mul(o.reshape(before, [16, 8]), scope.param('scale', [8], onesInit));
        return scope.in('head', (s) => linear(s, scaled, 3));
      },
      loss: crossEntropyLoss,
      activation: (x) => x,
    },
    mlp.batch(0),
  ),
};

const hyper = { beta1: 0.9, beta2: 0.99, eps: 1e-5, wd: 0.01 };
const lr = 1e-3;

interface Pair {
  readonly state: TrainState;
  readonly theirs: OrtTrainer;
}

/** Trains both from `state` on, from the artifacts that `options` make. */
async function follow(
  { task, batch }: Case,
  state: TrainState,
  options: Omit<OrtArtifactOptions, 'weights'>,
  { steps, hyperAt }: { readonly steps: number; readonly hyperAt: (step: number) => Hyper },
): Promise<Pair> {
  const { optimizer: def = adamw, isTrained } = options;
  const theirs = await ortTrainer(ortArtifacts(task, { weights: weightsOf(state), ...options }));
  const ours = await compileStep(task, openCpu, isTrained);
  const optimizer = await compileOptimizer(def, state, openCpu);
  for (let step = 1; step <= steps; step++) {
    const loss = await ours.gradients(state, batch(step));
    await optimizer.update(state, hyperAt(step));
    const { loss: other } = await theirs.train(batch(step));
    await theirs.update();
    expect(Number(other!.data[0]), `loss of step ${step}`).to.be.closeTo(loss, 1e-4 * Math.abs(loss));
  }
  for (const one of [ours, optimizer]) await one.release();
  return { state, theirs };
}

async function expectSame({ state, theirs }: Pair, bound = 1e-4): Promise<void> {
  expect(distance(await theirs.parameters(false), flatten(state, false))).to.be.below(bound);
  theirs.release();
}

const failure = async (promise: Promise<OrtTrainer>): Promise<string> => {
  const error = await promise.then(
    (opened) => opened.release(),
    (reason: Error) => reason,
  );
  if (error instanceof Error) return error.message;
  return expect.fail('expected the artifacts to be refused');
};

describe('ORT artifacts: what goes beyond a plain training', function () {
  this.timeout(120_000);

  for (const index of [3, 4, 5]) {
    it(`a recurrent net carries its state from batch to batch, in evaluation too: human numbers, model ${index}`, async () => {
      const one = carrying(index);
      const run = { steps: 6, hyperAt: () => ({ ...hyper, lr }) };
      const pair = await follow(one, startState(one.task), { hyper, lr }, run);
      const evaluation = await compileEvaluation(one.task, openCpu);
      const losses: number[] = [];
      for (let i = 0; i < 2; i++) {
        const { loss } = await evaluation.evaluate(pair.state, words(50));
        losses.push(Number(loss!.data[0]));
        expect(Number((await pair.theirs.evaluate(words(50))).loss!.data[0])).to.be.closeTo(
          losses[i]!,
          1e-4 * losses[i]!,
        );
      }
      await evaluation.release();
      expect(losses[0]).to.not.equal(losses[1]);
      expect(Math.hypot(...pair.state.tensors.get('h')!.data)).to.be.above(0.1);
      await expectSame(pair);
    });
  }

  it('a state that the backward pass needs is read before it is overwritten', async () => {
    const run = { steps: 8, hyperAt: () => ({ ...hyper, lr }) };
    await expectSame(await follow(previous, startState(previous.task), { hyper, lr }, run));
  });

  it('a state is overwritten only after every node that reads it', () => {
    const { graph } = decodeModel(
      ortArtifacts(previous.task, { weights: weightsOf(startState(previous.task)) })['training_model.onnx'],
    );
    const writer = graph.node.find(({ opType, input }) => opType === 'InPlaceAccumulatorV2' && input[0] === 'h')!;
    const needed = new Set(writer.input);
    const before = new Set<string>();
    for (const node of graph.node.toReversed()) {
      if (!node.output.some((name) => needed.has(name))) continue;
      before.add(node.name!);
      for (const name of node.input) needed.add(name);
    }
    const readers = graph.node.filter((node) => node !== writer && node.input.includes('h'));
    expect(readers.length).to.be.above(0);
    const views = readers
      .filter(({ opType }) => ['Squeeze', 'Reshape'].includes(opType))
      .flatMap(({ output }) => output);
    const all = [...readers, ...graph.node.filter(({ input }) => input.some((name) => views.includes(name)))];
    expect(all.filter(({ name }) => !before.has(name!)).map(({ name }) => name)).to.deep.equal([]);
  });

  it('plain SGD', async () => {
    const plain = { momentum: 0, wd: 0 };
    const state = startState(mlp.task, sgd);
    const run = { steps: 10, hyperAt: () => ({ ...plain, lr: 0.05 }) };
    await expectSame(await follow(mlp, state, { optimizer: sgd, hyper: plain, lr: 0.05 }, run), 1e-6);
  });

  it('a table of learning rates, whose last one stays', async () => {
    const rates = [1e-2, 3e-3, 1e-3];
    const run = { steps: 6, hyperAt: (step: number) => ({ ...hyper, lr: rates[Math.min(step, 3) - 1]! }) };
    await expectSame(await follow(mlp, startState(mlp.task), { hyper, lr: rates }, run));
  });

  it('without a rate of its own the runtime takes 0.001', async () => {
    const run = { steps: 4, hyperAt: () => ({ ...hyper, lr: 1e-3 }) };
    await expectSame(await follow(mlp, startState(mlp.task), { hyper }, run));
  });

  it('continues from moments and step', async () => {
    const state = startState(mlp.task);
    const first = await compileStep(mlp.task, openCpu);
    const optimizer = await compileOptimizer(adamw, state, openCpu);
    for (let step = 31; step <= 35; step++) {
      await first.gradients(state, mlp.batch(step));
      await optimizer.update(state, { ...hyper, lr });
    }
    for (const one of [first, optimizer]) await one.release();
    const moments = momentsOf(state, [...state.tensors.keys()]);
    const run = { steps: 5, hyperAt: () => ({ ...hyper, lr }) };
    await expectSame(await follow(mlp, state, { hyper, lr, progress: { step: 5, moments } }, run));
  });

  it('leaves frozen parameters alone', async () => {
    const before = startState(mlp.task);
    const artifacts = ortArtifacts(mlp.task, {
      weights: weightsOf(before),
      isTrained: (name) => name.startsWith('head'),
      lr,
    });
    const theirs = await ortTrainer(artifacts);
    await theirs.train(mlp.batch(1));
    await theirs.update();
    const [trained, all] = [await theirs.parameters(true), await theirs.parameters(false)];
    theirs.release();
    const start = flatten(before, false);
    const hidden = start.length - trained.length;
    expect(trained.length).to.equal(16 * 3 + 3);
    expect(all.subarray(0, hidden)).to.deep.equal(start.subarray(0, hidden));
    expect([...trained].every((value, i) => value !== start[hidden + i])).to.equal(true);
  });

  it('clips gradients by their norm', async () => {
    const plain = { momentum: 0, wd: 0 };
    const state = startState(mlp.task);
    const maxNorm = 1e-3;
    const theirs = await ortTrainer(
      ortArtifacts(mlp.task, { weights: weightsOf(state), optimizer: sgd, hyper: plain, lr: 1, maxNorm }),
    );
    const start = flatten(state, true);
    await theirs.train(mlp.batch(1));
    await theirs.update();
    const moved = (await theirs.parameters(true)).map((value, i) => value - start[i]!);
    theirs.release();
    expect(Math.hypot(...moved)).to.be.closeTo(maxNorm, 0.02 * maxNorm);
  });
});

describe('ORT artifacts: refusals', function () {
  this.timeout(60_000);
  const make = (options: Partial<OrtArtifactOptions> = {}) =>
    ortArtifacts(mlp.task, { weights: weightsOf(startState(mlp.task)), lr, ...options });

  it('the runtime refuses a checkpoint that is cut off, of another version, or lacks a parameter', async () => {
    const good = make();
    const cut = { ...good, checkpoint: good.checkpoint.subarray(0, good.checkpoint.length / 2) };
    expect(await failure(ortTrainer(cut))).to.match(/verification failed/);
    const { trained, frozen } = decodeOrtCheckpoint(good.checkpoint);
    const fewer = new Map([...trained].filter(([name]) => name !== 'head.bias'));
    const lacking = { ...good, checkpoint: encodeOrtCheckpoint({ trained: fewer, frozen }) };
    const refused = ortTrainer(lacking).then(async (opened) => {
      const names = opened.trainingInputNames;
      opened.release();
      return names;
    });
    // Taken for an input of the user's: the names tell.
    expect(await refused).to.deep.equal(['x', 'y', 'head.bias']);
    const other = { ...good, checkpoint: withVersion(good.checkpoint, 3) };
    expect(await failure(ortTrainer(other))).to.match(/version 3/);
    (await ortTrainer({ ...good, checkpoint: withVersion(good.checkpoint, 2) })).release();
  });

  it('we refuse what the runtime has not', () => {
    const moments = new Map();
    const cases: readonly (readonly [Partial<OrtArtifactOptions>, string, RegExp])[] = [
      [{ optimizer: rmsprop }, 'unsupported', /adamw or sgd, got rmsprop/],
      [{ optimizer: sgd }, 'unsupported', /momentum 0.9/],
      [{ hyper: { lr: 1 } }, 'bad-argument', /got lr/],
      [{ lr: [] }, 'bad-argument', /learning rates/],
      [{ maxNorm: 0 }, 'bad-argument', /maxNorm .*got 0/],
      [{ hyper: { wd: Number.NaN } }, 'bad-argument', /wd .*got NaN/],
      [{ hyper: { beta1: 1 } }, 'bad-argument', /beta1 .*got 1/],
      [{ hyper: { beta1: [0.9, 0.8] as unknown as number } }, 'unsupported', /one beta1 .*got \[0.9,0.8\]/],
      [{ optimiser: sgd } as object, 'bad-argument', /got optimiser; did you mean optimizer/],
      ...[22, 17, 13, 18.5, Number.NaN].map(
        (opset) => [{ opset }, 'bad-argument', new RegExp(`18\\.\\.21, got ${opset}`)] as const,
      ),
      [{ progress: { step: 1, moments } }, 'bad-argument', /moments of the 4 trained parameters, got 0/],
      [{ weights: new Map() }, 'bad-checkpoint', /hidden.weight \[.*\], got none/],
      [{ isTrained: () => false }, 'bad-argument', /at least one trained parameter/],
    ];
    for (const [options, code, text] of cases)
      expect(() => make(options), String(text))
        .to.throw(text)
        .with.property('code', code);
    const model: Model = (scope, x) => scope.in('head', (s) => linear(s, dropout(s, x, 0.5), 3));
    const random = taskOf({ name: 'drop', model, loss: crossEntropyLoss, activation: (x) => x }, mlp.batch(0));
    expect(() => ortArtifacts(random, { weights: weightsOf(startState(random)) })).to.throw(
      /without dropout.*got drop/,
    );
    const renamed = { ...mlp.task, inputs: mlp.task.inputs.map((one) => ({ ...one, name: `${one.name}_grad` })) };
    expect(() => ortArtifacts(renamed, { weights: new Map() })).to.throw(/x_grad/);
  });
});

/** The checkpoint with another number in the place of its version: the i32 that the root table's first slot leads to. */
function withVersion(bytes: Uint8Array, version: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const root = view.getUint32(0, true);
  const vtable = root - view.getInt32(root, true);
  const at = root + view.getUint16(vtable + 4, true);
  expect(view.getInt32(at, true)).to.equal(2);
  view.setInt32(at, version, true);
  return copy;
}
