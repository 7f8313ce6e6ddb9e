import { expect } from 'chai';
import { FettleError } from '../../training/core/errors.ts';
import { createLearner, slice } from '../../training/index.ts';
import { exportOrtTraining, exportTraining } from '../../training/learner/artifacts.ts';
import { decodeModel } from '../../training/onnx/schema.ts';
import type { Session, Tensors } from '../../training/run/session.ts';
import type { ArtifactSegment } from '../../training/step/artifacts.ts';
import type { ArtifactSet } from '../../training/step/ort-artifacts.ts';
import { decodeOrtCheckpoint } from '../../training/step/ort-checkpoint.ts';
import { distance } from '../helpers/ort-cases.ts';
import { ortTrainer } from '../helpers/ort-training.ts';
import { openCpu, spiralLoader, spiralOptions, spirals } from '../helpers/tiny-tasks.ts';

/** Trains from the four files alone, on sessions of stock ONNX Runtime, as docs/artifacts.md says it is done. */
class FromFiles {
  readonly weights = new Map<string, Float32Array>();
  readonly #shapes = new Map<string, readonly number[]>();
  readonly #grads = new Map<string, Float32Array>();
  readonly #moments: Float32Array[][];
  readonly #segments: readonly ArtifactSegment[];
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
    this.#segments = fact('segments') as ArtifactSegment[];
    this.#hyper = fact('hyper') as Record<string, number>;
    this.#moments = this.#segments.map(({ parameters }) =>
      [0, 1].map((k) => join(parameters.map((name) => kept!.moments.get(name)![k]!.data as Float32Array))),
    );
    this.#step = kept!.step;
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
    for (const [i, { parameters, size, decay }] of this.#segments.entries()) {
      feeds[`param.${i}`] = f32([size], join(parameters.map((name) => this.weights.get(name)!)));
      feeds[`grad.${i}`] = f32([size], join(parameters.map((name) => this.#grads.get(name)!)));
      ['m', 'v'].forEach((moment, k) => {
        feeds[`${moment}.${i}`] = f32([size], this.#moments[i]![k]!);
      });
      for (const [name, value] of Object.entries(this.#hyper))
        feeds[`${name}.${i}`] = f32([], [name === 'wd' && !decay ? 0 : value]);
    }
    const results = await this.#optimizer.run(feeds);
    for (const [i, { parameters }] of this.#segments.entries()) {
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

  it('go on training on stock ONNX Runtime, from the files alone, with the very numbers of the learner', async () => {
    const learner = await createLearner(options());
    await learner.fit(1);
    const files = await exportTraining(learner);
    const sessions = [
      await openCpu(files['training_model.onnx']),
      await openCpu(files['optimizer_model.onnx']),
      await openCpu(files['eval_model.onnx']),
    ] as const;
    const alone = new FromFiles(files, sessions[0], sessions[1]);
    for await (const { x, y } of learner.options.data.train.epoch(1)) {
      const loss = await learner.gradients({ x, y }, 1);
      await learner.update({ lr: 3e-3, beta2: 0.98, wd: 0.01 });
      expect(await alone.train({ x, y })).to.equal(loss);
      await alone.update();
    }
    for (const [name, data] of learner.weights) expect(alone.weights.get(name), name).to.deep.equal(data);
    expect(sessions[2].outputNames).to.deep.equal(['loss', 'prediction']);
    for (const session of sessions) await session.release();
    await learner.close();
  });

  it("go on training on ONNX Runtime's own training", async () => {
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

  it('are refused for that where a learner has more than the runtime', async () => {
    const said = async (promise: Promise<unknown>): Promise<string> => {
      const error = await promise.catch((reason: FettleError) => reason);
      return error instanceof FettleError ? `${error.code} ${error.message}` : 'accepted';
    };
    const spared = await createLearner(options());
    expect(await said(exportOrtTraining(spared))).to.match(/^unsupported .*weight decay.*pass wd/);
    expect(await said(exportOrtTraining(spared, { wd: 0 }))).to.equal('accepted');
    const sliced = await createLearner({ ...options(), lr: slice(1e-4, 1e-3) });
    expect(await said(exportOrtTraining(sliced, { wd: 0 }))).to.match(/^unsupported .*one learning rate/);
    expect(await said(exportOrtTraining(sliced, { wd: 0, lr: [1e-3, 1e-4] }))).to.equal('accepted');
  });
});
