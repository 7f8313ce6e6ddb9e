import { expect } from 'chai';
import { FettleError } from '../../../training/core/errors.ts';
import type { ArtifactSpan } from '../../../training/export/artifacts.ts';
import { trainingArtifacts } from '../../../training/export/artifacts.ts';
import type { ArtifactSet } from '../../../training/export/ort-artifacts.ts';
import { decodeOrtCheckpoint } from '../../../training/export/ort-checkpoint.ts';
import { createLearner, type Learner, type LearnerOptions, slice, splitByPrefix } from '../../../training/index.ts';
import { exportOrtTraining, exportTraining } from '../../../training/learner/artifacts.ts';
import { decodeModel } from '../../../training/onnx/schema.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import type { Session, Tensors } from '../../../training/run/session.ts';
import { distance, mlp, startState } from '../../helpers/ort-cases.ts';
import { ortTrainer } from '../../helpers/ort-training.ts';
import { openCpu, spiralLoader, spiralOptions, spirals } from '../../helpers/tiny-tasks.ts';

/** Trains from the four files alone, on sessions of stock ONNX Runtime, as docs/reference/artifacts.md states it is done. */
class FromFiles {
  readonly weights = new Map<string, Float32Array>();
  readonly #shapes = new Map<string, readonly number[]>();
  readonly #grads = new Map<string, Float32Array>();
  readonly #moments: Float32Array[][];
  readonly #spans: readonly ArtifactSpan[];
  readonly #hyper: Readonly<Record<string, number>>;
  readonly #training: Session;
  readonly #optimizer: Session;
  #step: number;

  constructor(files: ArtifactSet, training: Session, optimizer: Session) {
    const { trained, frozen, optimizer: kept } = decodeOrtCheckpoint(files.checkpoint);
    for (const [name, { data, dims }] of [...trained, ...frozen]) {
      this.weights.set(name, data as Float32Array);
      this.#shapes.set(name, dims);
    }
    const { metadataProps } = decodeModel(files['optimizer_model.onnx']);
    const fact = (key: string): unknown => JSON.parse(metadataProps.find((one) => one.key === key)!.value);
    this.#spans = fact('segments') as ArtifactSpan[];
    this.#hyper = fact('hyper') as Record<string, number>;
    this.#moments = this.#spans.map(({ parameters, size }) =>
      [0, 1].map((k) =>
        kept === undefined
          ? new Float32Array(size)
          : join(parameters.map((name) => kept.moments.get(name)![k]!.data as Float32Array)),
      ),
    );
    this.#step = kept?.step ?? 0;
    [this.#training, this.#optimizer] = [training, optimizer];
  }

  async train(batch: Tensors): Promise<number> {
    const state = [...this.weights].map(([name, data]) => [name, f32(this.#shapes.get(name)!, data)] as const);
    const results = await this.#training.run({ ...batch, ...Object.fromEntries(state) });
    for (const [name, { data }] of Object.entries(results)) {
      if (name.startsWith('grad/')) this.#grads.set(name.slice(5), data as Float32Array);
      if (name.startsWith('next/')) this.weights.set(name.slice(5), data as Float32Array);
    }
    return Number(results.loss!.data[0]);
  }

  async update(): Promise<void> {
    this.#step++;
    const feeds: Record<string, Tensors[string]> = { step: f32([], [this.#step]) };
    for (const [i, { parameters, size, decay, hyper }] of this.#spans.entries()) {
      feeds[`param.${i}`] = f32([size], join(parameters.map((name) => this.weights.get(name)!)));
      feeds[`grad.${i}`] = f32([size], join(parameters.map((name) => this.#grads.get(name)!)));
      ['m', 'v'].forEach((moment, k) => {
        feeds[`${moment}.${i}`] = f32([size], this.#moments[i]![k]!);
      });
      for (const [name, value] of Object.entries({ ...this.#hyper, ...hyper }))
        feeds[`${name}.${i}`] = f32([], [name === 'wd' && !decay ? 0 : value]);
    }
    const results = await this.#optimizer.run(feeds);
    for (const [i, { parameters }] of this.#spans.entries()) {
      let at = 0;
      for (const name of parameters) {
        const { length } = this.weights.get(name)!;
        this.weights.set(name, (results[`param.${i}.next`]!.data as Float32Array).slice(at, at + length));
        at += length;
      }
      this.#moments[i] = ['m', 'v'].map((moment) => results[`${moment}.${i}.next`]!.data as Float32Array);
    }
  }
}

const f32 = (dims: readonly number[], values: ArrayLike<number>): Tensors[string] => ({
  dtype: 'float32',
  dims,
  data: Float32Array.from(values),
});
const join = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...part]));

/** Batches of one size, in order. */
const options = () => {
  const data = { train: spiralLoader(spirals(320, 1), 64) };
  return spiralOptions({ data, lr: 3e-3, hyper: { beta2: 0.98 } });
};

describe('artifacts of a learner', function () {
  this.timeout(60_000);

  /** Trains an epoch on both, ours with `hyper`, and compares bit for bit. */
  async function expectSameEpoch(learner: Learner, hyper: Parameters<Learner['update']>[0]): Promise<void> {
    const files = await exportTraining(learner);
    const sessions = [
      await openCpu(files['training_model.onnx']),
      await openCpu(files['optimizer_model.onnx']),
      await openCpu(files['eval_model.onnx']),
    ] as const;
    const alone = new FromFiles(files, sessions[0], sessions[1]);
    for await (const { x, y } of learner.options.data.train.epoch(1)) {
      const loss = await learner.gradients({ x, y }, 1);
      await learner.update(hyper);
      expect(await alone.train({ x, y })).to.equal(loss);
      await alone.update();
    }
    for (const [name, data] of learner.weights) expect(alone.weights.get(name), name).to.deep.equal(data);
    expect(sessions[2].outputNames).to.deep.equal(['loss', 'prediction']);
    for (const session of sessions) await session.release();
  }

  it('continue training on stock ONNX Runtime, from the files alone, with the very numbers of the learner', async () => {
    const learner = await createLearner(options());
    await learner.fit(1);
    await expectSameEpoch(learner, { lr: 3e-3, beta2: 0.98, wd: 0.01 });
    await learner.close();
  });

  it('keep the rates and hyper-parameters of every group, some of it frozen', async () => {
    const groups: Partial<LearnerOptions> = {
      splitter: splitByPrefix(['body'], ['norm', 'middle']),
      lr: slice(1e-4, 1e-2),
      hyper: { beta1: [0.8, 0.85, 0.9], beta2: 0.98 },
    };
    const learner = await createLearner({ ...options(), ...groups });
    const rates: Readonly<Record<string, number>> = { body: 1e-4, norm: 1e-3, middle: 1e-3, head: 1e-2 };
    const hyper = { lr: [1e-4, 1e-4 * (1e-2 / 1e-4) ** 0.5, 1e-2], beta1: [0.8, 0.85, 0.9], beta2: 0.98, wd: 0.01 };
    await learner.fit(1);
    const { metadataProps } = decodeModel((await exportTraining(learner))['optimizer_model.onnx']);
    const told = JSON.parse(metadataProps.find(({ key }) => key === 'segments')!.value) as ArtifactSpan[];
    expect(told).to.have.length.above(3);
    for (const { parameters, hyper: own } of told)
      for (const name of parameters) expect(own!.lr, name).to.be.closeTo(rates[name.split('.')[0]!]!, 1e-12);
    await expectSameEpoch(learner, hyper);
    await learner.freezeTo(1);
    await expectSameEpoch(learner, hyper);
    await learner.close();
  });

  it('before the first update hold no moments, in either form, and begin like the learner', async () => {
    const learner = await createLearner({ ...options(), wdNormBias: true });
    for (const files of [await exportTraining(learner), await exportOrtTraining(learner)])
      expect(decodeOrtCheckpoint(files.checkpoint).optimizer).to.equal(undefined);
    await expectSameEpoch(learner, { lr: 3e-3, beta2: 0.98, wd: 0.01 });
    await learner.fit(1);
    const [plain, ort] = [await exportTraining(learner), await exportOrtTraining(learner)].map(({ checkpoint }) =>
      decodeOrtCheckpoint(checkpoint),
    );
    expect(plain).to.deep.equal(ort);
    expect(plain!.optimizer!.step).to.equal(learner.state.step);
    await learner.close();
  });

  it('never move a frozen parameter that lies among trained ones', async () => {
    const state = startState(mlp.task);
    expect(state.spans).to.have.length(1);
    state.step = 3;
    for (const moment of state.moments) moment.fill(0.5);
    const isTrained = (name: string): boolean => !name.endsWith('hidden.bias');
    const files = trainingArtifacts(mlp.task, { state, optimizer: adamw, hyper: { lr: 0.1, wd: 0.5 }, isTrained });
    const sessions = [
      await openCpu(files['training_model.onnx']),
      await openCpu(files['optimizer_model.onnx']),
    ] as const;
    const alone = new FromFiles(files, ...sessions);
    await alone.train(mlp.batch(1));
    await alone.update();
    for (const [name, { data }] of state.tensors) {
      const changed = alone.weights.get(name)!.some((value, i) => value !== data[i]);
      expect(changed, name).to.equal(isTrained(name));
    }
    for (const session of sessions) await session.release();
  });

  it("continue training on ONNX Runtime's own training", async () => {
    const learner = await createLearner({ ...options(), wdNormBias: true });
    await learner.fit(1);
    const theirs = await ortTrainer(await exportOrtTraining(learner));
    for await (const { x, y } of learner.options.data.train.epoch(1)) {
      const loss = await learner.gradients({ x, y }, 1);
      await learner.update({ lr: 3e-3, beta2: 0.98, wd: 0.01 });
      const other = Number((await theirs.train({ x, y })).loss!.data[0]);
      await theirs.update();
      expect(other).to.be.closeTo(loss, 1e-4 * loss);
    }
    const ours = join(learner.state.specs.map(({ name }) => learner.weights.get(name)!));
    expect(distance(await theirs.parameters(false), ours)).to.be.below(1e-4);
    theirs.release();
    await learner.close();
  });

  const said = async (promise: Promise<unknown>): Promise<string> => {
    const error = await promise.catch((reason: FettleError) => reason);
    return error instanceof FettleError ? `${error.code} ${error.message}` : 'accepted';
  };

  it('are refused for that where a learner has more than the runtime', async () => {
    const spared = await createLearner(options());
    expect(await said(exportOrtTraining(spared))).to.match(/^unsupported .*weight decay.*pass wd/);
    expect(await said(exportOrtTraining(spared, { wd: 0 }))).to.equal('accepted');
    const sliced = await createLearner({ ...options(), lr: slice(1e-4, 1e-3) });
    expect(await said(exportOrtTraining(sliced, { wd: 0 }))).to.match(/^unsupported .*one learning rate/);
    expect(await said(exportOrtTraining(sliced, { wd: 0, lr: [1e-3, 1e-4] }))).to.equal('accepted');
    // What a learner's list would mean is rates of groups, never a schedule.
    const listed = Object.create(spared, { lr: { value: [1e-5, 1e-2] } }) as Learner;
    expect(await said(exportOrtTraining(listed, { wd: 0 }))).to.match(/^unsupported .*got \[0.00001,0.01\]/);
    const grouped = await createLearner({ ...options(), hyper: { beta1: [0.9] } });
    expect(await said(exportOrtTraining(grouped, { wd: 0 }))).to.match(/^unsupported .*one beta1, got \[0.9\]/);
  });

  it('are refused where an option is misspelt or no number', async () => {
    const learner = await createLearner({ ...options(), wdNormBias: true });
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ maxNrom: 1 }, /got maxNrom; did you mean maxNorm\?/],
      [{ maxNorm: -1 }, /maxNorm .*got -1/],
      [{ maxNorm: Number.NaN }, /maxNorm .*got NaN/],
      [{ wd: Number.NaN }, /wd .*got NaN/],
      [{ wd: -1 }, /wd .*got -1/],
      [{ lr: '0.1' }, /lr .*got the text '0.1'/],
      [{ lr: [0.1, Number.NaN] }, /learning rates .*got \[.*NaN\]/],
      [{ opset: 17 }, /18\.\.21, got 17/],
      [{ properties: { epochs: 20 } }, /properties as a Map/],
    ];
    for (const [bad, text] of wrong) {
      const found = await said(exportOrtTraining(learner, bad));
      expect(found)
        .to.match(/^bad-argument /)
        .and.to.match(text);
    }
    const plain: typeof wrong = [[{ opst: 18 }, /did you mean opset/], ...wrong.slice(-2)];
    for (const [bad, text] of plain) {
      const found = await said(exportTraining(learner, bad));
      expect(found)
        .to.match(/^bad-argument /)
        .and.to.match(text);
    }
    const { state } = learner;
    const make = (hyper: object) => () => trainingArtifacts(mlp.task, { state, optimizer: adamw, hyper: { ...hyper } });
    expect(make({ beta1: [0.9, 0.8] })).to.throw(/beta1 as a number or 1 numbers.*got \[0.9,0.8\]/);
    expect(make({ wd: Number.NaN })).to.throw(/wd as a number/);
    expect(make({ momentum: 0.9 })).to.throw(/got momentum/);
    await learner.close();
  });
});
