import { expect } from 'chai';
import type { Tensor } from '../../training/core/tensor.ts';
import { exportModel } from '../../training/learner/export.ts';
import { type Batch, createLearner, type LearnerOptions, type Loader } from '../../training/learner/learner.ts';
import { compileStep } from '../../training/loop/compile.ts';
import * as nn from '../../training/nn/layers.ts';
import { findMetadata } from '../../training/onnx/metadata.ts';
import { openCpu, spiralLoader, spiralOptions, spirals, tensorOf } from '../helpers/tiny-tasks.ts';

const whole = spiralLoader(spirals(128, 1), 32, 1);
const makeWith = (overrides: Partial<LearnerOptions>) => createLearner(spiralOptions(overrides));

/** The loader with each batch as `change` makes it. */
const changed = (change: (batch: Batch) => unknown): Loader => ({
  ...whole,
  async *epoch(epoch, options) {
    for await (const batch of whole.epoch(epoch, options)) yield change(batch) as Batch;
  },
});

async function messageOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message}`;
  }
  return 'no error';
}

describe('traps of the learner', () => {
  it('a loader that yields other than batchesPerEpoch batches is an error', async () => {
    for (const [stated, got] of [
      [5, '4'],
      [3, 'more'],
    ] as const) {
      const learner = await makeWith({ data: { train: { ...whole, batchesPerEpoch: stated } } });
      expect(await messageOf(() => learner.fit(1, 0.01))).to.equal(
        `bad-data: data.train, epoch 0: expected ${stated} batches, as its batchesPerEpoch states, got ${got}; correct it, schedules count on it`,
      );
      await learner.close();
    }
    const right = await makeWith({ data: { train: whole } });
    expect(await right.fit(1, 0.01)).to.have.length(1);
    await right.close();
  });

  it('a model, a loss or a task that returns nothing is an error that says so', async () => {
    const nothing = () => undefined as never;
    const wanted = 'expected a value of the graph as its result, got undefined; add a return';
    expect(await messageOf(() => makeWith({ model: nothing }))).to.equal(`bad-argument: model: ${wanted}`);
    const learner = await makeWith({ loss: nothing, name: 'net' });
    expect(await messageOf(() => learner.fit(1))).to.equal(`bad-argument: loss of net: ${wanted}`);
    await learner.close();
    const task = { name: 'line', inputs: [], forward: nothing };
    expect(await messageOf(() => compileStep(task, openCpu))).to.equal(`bad-argument: loss of line: ${wanted}`);
  });

  it('batches of plain arrays, or of the wrong typed array, are an error that says what to make', async () => {
    const wanted = 'as a tensor { dtype, dims, data }, got';
    const trainWith = (change: (batch: Batch) => unknown) =>
      messageOf(() => makeWith({ data: { train: changed(change) } }));
    expect(await trainWith(({ y }) => ({ x: [[1, 2]], y }))).to.equal(
      `bad-data: data.train, batch 0: expected x ${wanted} a list of 1; make one, e.g. f32([rows, columns], rows.flat())`,
    );
    expect(await trainWith(({ x }) => ({ x }))).to.include(`expected y ${wanted} undefined; see f32, i32 and tensor`);
    expect(await trainWith(({ x, y }) => ({ x: { ...x, data: [...x.data] }, y }))).to.include(
      `${wanted} the text 'float32' over a plain array; give Float32Array`,
    );
    expect(await trainWith(({ x, y }) => ({ x: { ...x, dims: [3] }, y }))).to.include(
      `${wanted} 64 values for float32[3]`,
    );
    const valid = changed(({ x }) => ({ x, y: [0, 1] }));
    const learner = await makeWith({ data: { train: whole, valid } });
    expect(await messageOf(() => learner.validate())).to.include(`validate, batch 0: expected y ${wanted} a list of 2`);
    await learner.close();
  });
});

describe('exportModel and the normalisation of the data', () => {
  const statistics = { mean: [0.25, -0.5], std: [0.5, 2] };
  const raw = tensorOf([2, 2], [0.1, 0.2, -0.3, 0.4]);
  const run = async (model: Uint8Array, x: Tensor): Promise<ArrayLike<number | bigint>> => {
    const session = await openCpu(model);
    const { prediction } = await session.run({ x });
    await session.release();
    return prediction!.data;
  };
  const close = (got: ArrayLike<number | bigint>, wanted: ArrayLike<number>) =>
    Array.from(wanted).forEach((value, i) => {
      expect(Number(got[i])).to.be.closeTo(value, 1e-6);
    });

  it('is in the model and readable, unless it is switched off', async () => {
    const learner = await makeWith({ data: { train: whole, statistics } });
    const normalised = raw.data.map((value, i) => (value - statistics.mean[i % 2]!) / statistics.std[i % 2]!);
    const x = tensorOf([2, 2], [...normalised]);
    const answers = (
      await Promise.all([0, 1].map((i) => learner.predict(tensorOf([2], [...normalised.slice(2 * i, 2 * i + 2)]))))
    ).flatMap(({ data }) => [...data]);
    const model = exportModel(learner);
    close(await run(model, raw), answers);
    expect(findMetadata(model, 'fettle.normalisation')).to.deep.equal(statistics);
    const bare = exportModel(learner, { normalise: false, metadata: { from: 'test' } });
    close(await run(bare, x), answers);
    expect(findMetadata(bare, 'fettle.normalisation')).to.equal(undefined);
    await learner.close();
  });

  it('a model that flattens takes batches of any size', async () => {
    const learner = await makeWith({ model: (scope, x) => nn.linear(scope, nn.flatten(x), 3) });
    const model = exportModel(learner, { onNote: (text) => expect.fail(text) });
    expect(await run(model, raw)).to.have.length(6);
    await learner.close();
  });
});
