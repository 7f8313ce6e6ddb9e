import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Tensor } from '../../training/core/tensor.ts';
import { ema } from '../../training/learner/callbacks/ema.ts';
import { accumulateGradients } from '../../training/learner/callbacks/gradients.ts';
import { mixup } from '../../training/learner/callbacks/mixup.ts';
import { earlyStopping, saveBest } from '../../training/learner/callbacks/track.ts';
import { exportModel, loadWeightsFile } from '../../training/learner/export.ts';
import { slice, splitByPrefix } from '../../training/learner/groups.ts';
import {
  createLearner,
  type FitCallOptions,
  type Learner,
  type LearnerOptions,
} from '../../training/learner/learner.ts';
import { accuracy } from '../../training/learner/metrics.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import { conv2d, linear } from '../../training/nn/layers.ts';
import { mseLoss } from '../../training/nn/losses.ts';
import * as o from '../../training/ops/build.ts';
import { adam, adamw } from '../../training/optim/optimizers.ts';
import { plotTopLosses, showResults } from '../../training/report/cells.node.ts';
import { tta } from '../../training/report/interpret.ts';
import { savePlot } from '../../training/report/png.node.ts';
import { tensorBoard } from '../../training/runs/logs.node.ts';
import { runFolder } from '../../training/runs/run-folder.node.ts';
import { openCpu, spiralLoader, spiralOptions, spirals, tensorOf } from '../helpers/tiny-tasks.ts';

const opened: Learner[] = [];
async function spiralLearner(overrides: Partial<LearnerOptions> = {}): Promise<Learner> {
  const learner = await createLearner(spiralOptions(overrides));
  opened.push(learner);
  return learner;
}

const failureOf = (work: () => unknown): Promise<string> =>
  Promise.resolve()
    .then(work)
    .then(
      () => 'no error',
      (error: unknown) => `${(error as { code?: string }).code}: ${(error as Error).message}`,
    );

/** Options as JavaScript passes them, unseen by a compiler. */
const mistyped = <T>(options: Record<string, unknown>): T => options as T;

/** Fails in `batch` of `epoch`. */
const breakAt = (epoch: number, batch: number): Callback => ({
  name: 'breakAt',
  afterBatch: ({ progress }) => {
    if (progress.epoch === epoch && progress.batch === batch) throw new Error('broken');
  },
});

const phases = splitByPrefix(['body', 'norm'], ['middle']);
/** One item of 2x2 pictures of one channel. */
const pictures = (channels = 1, count = 4): Tensor =>
  tensorOf(
    [count, channels, 2, 2],
    Array.from({ length: count * channels * 4 }, (_, i) => Math.sin(i)),
  );

describe('what a Learner refuses', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const learner of opened.splice(0)) await learner.close();
  });

  it('mistyped options are errors that name the nearest', async () => {
    const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
      [{ optimiser: adam }, /got optimiser; did you mean optimizer\?/],
      [{ metric: [] }, /got metric; did you mean metrics\?/],
      [{ hyper: { beta_2: 0.9 } }, /hyper of adamw.* got beta_2; did you mean beta2\?/],
      [{ optimizer: 'adam' }, /expected optimizer as one of adamw, .* got the text 'adam'/],
      [{ metrics: [accuracy] }, /metrics such as metrics.accuracy\(\), got the function accuracy; call it/],
      [{ callbacks: [saveBest] }, /got the function saveBest; call it/],
      [
        { callbacks: [{ name: 'mine', afterEpcoh: () => {} }] },
        /callback mine.* got afterEpcoh; did you mean afterEpoch/,
      ],
      [{ loss: undefined }, /expected loss as a function.* got undefined/],
      [{ open: undefined }, /expected open as a function.* got undefined/],
      [{ data: undefined }, /expected data as \{ train, valid \}, got undefined/],
      [{ data: { train: [] } }, /expected data.train as a loader.* got a list of 0/],
      [{ wd: Number.NaN }, /wd as a number from 0, got NaN/],
    ];
    for (const [options, text] of cases)
      expect(await failureOf(() => spiralLearner(options as Partial<LearnerOptions>))).to.match(text);
    const learner = await spiralLearner();
    expect(await failureOf(() => learner.fitOneCycle(1, 0.1, mistyped({ pct_start: 0.3 })))).to.match(
      /^bad-argument: fitOneCycle.* did you mean pctStart\?/,
    );
    expect(await failureOf(() => learner.fit(1, 0.1, mistyped({ callback: [] })))).to.match(/did you mean callbacks\?/);
    expect(await failureOf(() => learner.lrFind(mistyped({ start: 1 })))).to.match(/startLr/);
    expect(await failureOf(() => tta(learner, mistyped({ view: [] })))).to.match(/did you mean views\?/);
    for (const [show, options, meant] of [
      [showResults, { counts: 2 }, 'count'],
      [plotTopLosses, { column: 2 }, 'columns'],
    ] as const)
      expect(await failureOf(() => show(learner, mistyped(options)))).to.include(`did you mean ${meant}?`);
    expect(() => exportModel(learner, mistyped({ shapes: [2] }))).to.throw('did you mean shape?');
    expect(() => runFolder('never-made', mistyped({ resumes: false }))).to.throw('did you mean resume?');
    expect(() => tensorBoard('never-made', mistyped({ evry: 2 }))).to.throw('did you mean every?');
    expect(await failureOf(() => savePlot('<svg/>', join(tmpdir(), 'fettle-plot.jpg')))).to.match(
      /^bad-argument: savePlot: expected a path that ends in .svg or .png, got .*fettle-plot.jpg/,
    );
    expect(() => mixup({ alpha: -1 })).to.throw(/mixup: expected alpha as a number above 0, got -1/);
    expect(() => earlyStopping(mistyped({ patiance: 2 }))).to.throw(/did you mean patience\?/);
  });

  it('a callback may keep what it likes beside its events', async () => {
    const counting = {
      name: 'counting',
      numbers: [],
      count: 0,
      afterBatch() {
        this.count += 1;
      },
    };
    await (await spiralLearner()).fit(1, 0.1, { callbacks: [counting] });
    expect(counting.count).to.equal(8);
  });

  it('rates and epochs that are not valid change nothing', async () => {
    const learner = await spiralLearner();
    const before = [...learner.state.params];
    const odd = (value: unknown): number => value as number;
    const calls: readonly (readonly [() => unknown, RegExp])[] = [
      [() => learner.fit(1, mistyped({ callbacks: [] })), /an object with callbacks; options come after the rate/],
      [() => learner.fit(1, odd('0.1')), /learning rate.* got the text '0.1'/],
      [() => learner.fit(1, Number.NaN), /got NaN/],
      [() => learner.fit(1, -1), /got -1/],
      [() => learner.fit(1, slice(-1, 0.1)), /lowest rate of a slice.* got -1/],
      [() => learner.fit(1, 0.1, { wd: Number.NaN }), /wd as a number from 0, got NaN/],
      [() => learner.fit(odd(undefined)), /epochs as a whole number from 0, got undefined/],
      [() => learner.fit(-1), /epochs.* got -1/],
      [() => learner.fit(Number.NaN), /epochs.* got NaN/],
      [() => learner.fit(1.5), /epochs.* got 1.5/],
      [() => learner.fitOneCycle(1, 0.1, { pctStart: 2 }), /pctStart as a number from 0 to 1, got 2/],
      [() => learner.fitOneCycle(1, 0.1, { div: 0 }), /div as a number above 0, got 0/],
      [() => learner.fineTune(1, { baseLr: Number.NaN }), /baseLr as a number above 0, got NaN/],
      [() => learner.lrFind({ startLr: 1, endLr: 0.1 }), /expected rates that rise, got 1 to 0.1/],
      [() => learner.lrFind({ iterations: 3 }), /iterations as a whole number from 10, got 3/],
    ];
    for (const [call, text] of calls) {
      const failure = await failureOf(call);
      expect(failure)
        .to.match(text)
        .and.to.match(/^bad-argument/);
    }
    expect(await learner.fit(0)).to.deep.equal([]);
    expect([...learner.state.params]).to.deep.equal(before);
  });

  it('trains one thing at a time, and is free again afterwards', async () => {
    const learner = await spiralLearner();
    const first = learner.fit(2, 0.01);
    for (const call of [
      () => learner.fit(1),
      () => learner.lrFind(),
      () => learner.fineTune(1),
      () => learner.freeze(),
    ])
      expect(await failureOf(call)).to.match(/^busy: .*expected a learner at rest, got one in fit; await that/);
    expect(await first).to.have.length(2);
    expect(await failureOf(() => learner.fit(1, 0.01, { callbacks: [breakAt(0, 2)] }))).to.include('broken');
    expect(await learner.fit(1, 0.01)).to.have.length(1);
  });

  it('inputs of another kind than those of the training', async () => {
    const learner = await spiralLearner();
    const odd = (x: Tensor): Parameters<Learner['getPreds']>[0] => ({
      batchesPerEpoch: 1,
      async *epoch() {
        yield { x, y: { dtype: 'int32', dims: [1], data: Int32Array.of(0) } };
      },
    });
    const cases: readonly (readonly [Tensor, RegExp])[] = [
      [tensorOf([1, 3, 2], [1, 2, 3, 4, 5, 6]), /^bad-shape: .*float32\[N,2\], got float32\[1,3,2\]/],
      [tensorOf([1, 5], [1, 2, 3, 4, 5]), /^bad-shape: .*got float32\[1,5\] \(body.weight would be .*\); give items/],
      [{ dtype: 'int32', dims: [1, 2], data: Int32Array.of(1, 2) }, /^bad-dtype: .*got int32\[1,2\]; make it float32/],
    ];
    for (const [x, text] of cases) {
      expect(await failureOf(() => learner.getPreds(odd(x)))).to.match(text);
      expect(await failureOf(() => learner.validate(odd(x)))).to.match(text);
    }
    const item = tensorOf([3, 2], [1, 2, 3, 4, 5, 6]);
    expect(await failureOf(() => learner.predict(item))).to.match(
      /^bad-shape: predict: expected one item as of the training, float32\[2\], got float32\[3,2\]; omit the axis/,
    );
    expect(await failureOf(() => learner.predict(tensorOf([2], [1])))).to.match(/got 1 values for float32\[2\]/);
    expect(await failureOf(() => learner.predict(mistyped({})))).to.match(/^bad-shape: .*got no tensor/);
    expect(await failureOf(() => tta(learner))).to.match(/^bad-shape: flipHorizontal: expected pictures/);
  });

  it('pictures of other channels; other sizes where the model allows them', async () => {
    const learner = await spiralLearner({
      model: (scope, x) => o.reduceMean(conv2d(scope, x, { filters: 2 }), { axes: [2, 3], keepdims: false }),
      loss: mseLoss,
      data: {
        train: {
          batchesPerEpoch: 1,
          async *epoch() {
            yield {
              x: pictures(3),
              y: tensorOf(
                [4, 2],
                Array.from({ length: 8 }, () => 0),
              ),
            };
          },
        },
      },
    });
    const one = ({ dims, data, dtype }: Tensor): Tensor =>
      ({ dtype, dims: dims.slice(1), data: data.slice(0, data.length / dims[0]!) }) as Tensor;
    expect(await failureOf(() => learner.predict(one(pictures(1))))).to.match(
      /^bad-shape: .*float32\[N,3,2,2\], got float32\[1,1,2,2\] \(weight would be \[2,1,3,3\], is \[2,3,3,3\]\)/,
    );
    const larger = tensorOf(
      [3, 4, 5],
      Array.from({ length: 60 }, () => 1),
    );
    expect((await learner.predict(larger)).dims).to.deep.equal([2]);
  });

  it('a number to follow that no row will have, before anything is trained', async () => {
    const learner = await spiralLearner({ metrics: [accuracy()] });
    const { train } = learner.options.data;
    const alone = await spiralLearner({ data: { train } });
    const failed = (of: Learner, callback: Callback) => failureOf(() => of.fit(1, 0.1, { callbacks: [callback] }));
    expect(await failed(learner, saveBest({ monitor: 'acuracy' }))).to.equal(
      'bad-argument: saveBest: monitor: expected one of train_loss, valid_loss, accuracy, got acuracy; did you mean accuracy?',
    );
    expect(await failed(alone, saveBest())).to.match(
      /expected one of train_loss, got valid_loss; there is no validation set: give one as data.valid, or follow train_loss/,
    );
    expect(alone.state.step + learner.state.step).to.equal(0);
    expect(await failed(alone, saveBest({ monitor: 'train_loss' }))).to.equal('no error');
  });

  it('weights by a path, which are to be read first', async () => {
    const learner = await spiralLearner();
    expect(() => loadWeightsFile(learner, 'w.safetensors' as unknown as Uint8Array)).to.throw(
      /got the path 'w.safetensors'; read it first: await readWeightsFile\('w.safetensors'\) of fettle\/node/,
    );
  });
});

describe('runs of a Learner that end otherwise', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const learner of opened.splice(0)) await learner.close();
  });

  it('accumulateGradients as a callback has the schedule of the option', async () => {
    const rates = async (options: Partial<LearnerOptions>, call: FitCallOptions): Promise<readonly number[]> => {
      const learner = await spiralLearner(options);
      await learner.fitOneCycle(3, 0.02, call);
      return learner.history.series.lr!;
    };
    const [option, callback] = [
      await rates({ accumulate: 3 }, {}),
      await rates({}, { callbacks: [accumulateGradients(3)] }),
    ];
    expect(callback).to.deep.equal(option);
    expect(option.at(-1)).to.be.below(0.02 / 10);
    expect(Math.max(...option)).to.be.above(0.018);
    const twice = () => rates({ accumulate: 2 }, { callbacks: [accumulateGradients(2)] });
    expect(await failureOf(twice)).to.match(/accumulated in one place, got 2; omit/);
  });

  it('fineTune whose first phase is stopped has no second, and what was frozen before is so again', async () => {
    const learner = await spiralLearner({ splitter: phases });
    const stop: Callback = { name: 'stop', numbers: [], afterEpoch: ({ stop: end }) => end() };
    expect(await learner.fineTune(3, { freezeEpochs: 2, callbacks: [stop] })).to.have.length(1);
    expect(learner.isTrained('body.weight')).to.equal(true);
    expect(await failureOf(() => learner.fineTune(3, { callbacks: [breakAt(0, 3)] }))).to.include('broken');
    expect(learner.isTrained('body.weight')).to.equal(true);
    expect(await learner.fineTune(1)).to.have.length(2);
  });

  it('saveBest and ema end with the best and the averaged weights when a run fails', async () => {
    const ends: Float32Array[] = [];
    const watch: Callback = { name: 'watch', afterValidate: ({ state }) => void ends.push(state.params.slice()) };
    const learner = await spiralLearner({ callbacks: [watch, saveBest()] });
    expect(await failureOf(() => learner.fit(3, 0.01, { callbacks: [breakAt(1, 5)] }))).to.include('broken');
    expect([...learner.state.params]).to.deep.equal([...ends[0]!]);
    let average = new Float32Array(0);
    const seen: Callback = {
      name: 'seen',
      order: 60,
      afterBatch: ({ state, progress }) => {
        average = state.extra.get('ema/params')!.slice();
        if (progress.batch === 4) throw new Error('broken');
      },
    };
    const averaged = await spiralLearner({ callbacks: [ema({ decay: 0.9 }), seen] });
    expect(await failureOf(() => averaged.fit(1, 0.01))).to.include('broken');
    expect([...averaged.state.params]).to.deep.equal([...average]);
    expect(averaged.state.extra.size).to.equal(0);
    // Between the beginning of a validation and the end of its epoch the averages are in the state already.
    const late: Callback = {
      name: 'late',
      order: 70,
      afterValidate: ({ state }) => {
        average = state.params.slice();
        throw new Error('late');
      },
    };
    const validated = await spiralLearner({ callbacks: [ema({ decay: 0.9 }), late] });
    expect(await failureOf(() => validated.fit(1, 0.01))).to.include('late');
    expect([...validated.state.params]).to.deep.equal([...average]);
  });

  it('an exported model takes batches of any size; one that reckons with its own says so', async () => {
    const learner = await spiralLearner();
    const session = await openCpu(exportModel(learner, { onNote: (text) => expect.fail(text) }));
    const { prediction } = await session.run({ x: tensorOf([2, 2], [0.1, 0.2, -0.3, 0.4]) });
    const second = await learner.predict(tensorOf([2], [-0.3, 0.4]));
    expect(prediction!.dims).to.deep.equal([2, 3]);
    second.data.forEach((value, c) => {
      expect(prediction!.data[3 + c]).to.be.closeTo(value, 1e-6);
    });
    await session.release();
    const fixed = await spiralLearner({
      model: (scope, x) => linear(scope, o.reshape(x, [x.shape[0] as number, 2]), 3),
      data: { train: spiralLoader(spirals(64, 1), 64) },
      optimizer: adamw,
    });
    const notes: string[] = [];
    const model = exportModel(fixed, { onNote: (text) => void notes.push(text) });
    expect(notes.join()).to.match(/exportModel: the model takes one item at a time/);
    const one = await openCpu(model);
    expect((await one.run({ x: tensorOf([1, 2], [0.1, 0.2]) })).prediction!.dims).to.deep.equal([1, 3]);
    await one.release();
  });
});
