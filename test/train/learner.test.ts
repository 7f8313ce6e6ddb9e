import { expect } from 'chai';
import type { Tensor } from '../../training/core/tensor.ts';
import { ema } from '../../training/learner/callbacks/ema.ts';
import { gradientClip } from '../../training/learner/callbacks/gradients.ts';
import { mixup } from '../../training/learner/callbacks/mixup.ts';
import { stopOnNan } from '../../training/learner/callbacks/stop-on-nan.ts';
import { earlyStopping, reduceOnPlateau, saveBest } from '../../training/learner/callbacks/track.ts';
import { exportModel, loadWeightsFile, weightsFile } from '../../training/learner/export.ts';
import { slice, splitByPrefix } from '../../training/learner/groups.ts';
import { createLearner, type Learner, type LearnerOptions } from '../../training/learner/learner.ts';
import { accuracy, type Metric } from '../../training/learner/metrics.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import { linear } from '../../training/nn/layers.ts';
import { sgd } from '../../training/optim/optimizers.ts';
import { itemOf, topLosses, tta } from '../../training/report/interpret.ts';
import { openCpu, spiralLoader, spiralOptions, spirals } from '../helpers/tiny-tasks.ts';

const opened: Learner[] = [];
async function spiralLearner(overrides: Partial<LearnerOptions> = {}): Promise<Learner> {
  const learner = await createLearner(spiralOptions(overrides));
  opened.push(learner);
  return learner;
}

/** A metric that states the given numbers, one per epoch. */
function scripted(...values: number[]): Metric {
  let epoch = 0;
  return { name: 'scripted', start: () => ({ add: () => {}, value: () => values[epoch++]! }) };
}

const params = (learner: Learner): Float32Array => learner.state.params.slice();
const groups = splitByPrefix(['body', 'norm'], ['middle']);
const linearModel: Partial<LearnerOptions> = {
  model: (scope, x) => scope.in('only', (s) => linear(s, x, 3)),
  optimizer: sgd,
  hyper: { momentum: 0 },
  wd: 0,
};

describe('Learner', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const learner of opened.splice(0)) await learner.close();
  });

  it('learns three spirals: fitOneCycle reaches 95 % on points it has not seen', async () => {
    const learner = await spiralLearner({ metrics: [accuracy()] });
    const rows = await learner.fitOneCycle(15, 0.02);
    expect(rows).to.have.length(15);
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.95);
    expect(learner.history.series.loss).to.have.length(15 * 8);
    expect(Math.max(...learner.history.series.lr!)).to.be.closeTo(0.02, 1e-3);
  });

  it('validates unequal batches as one set: 201 items in batches of 64', async () => {
    const learner = await spiralLearner({ metrics: [accuracy()] });
    await learner.fit(1);
    const { predictions, targets } = await learner.getPreds();
    expect(predictions.dims).to.deep.equal([201, 3]);
    let [loss, right] = [0, 0];
    for (let i = 0; i < 201; i++) {
      const own = [...predictions.data.subarray(3 * i, 3 * i + 3)];
      expect(own.reduce((sum, value) => sum + value, 0)).to.be.closeTo(1, 1e-5);
      const label = Number(targets.data[i]);
      loss -= Math.log(own[label]!);
      if (own.indexOf(Math.max(...own)) === label) right += 1;
    }
    const measured = await learner.validate();
    expect(measured.valid_loss).to.be.closeTo(loss / 201, 1e-4);
    expect(measured.accuracy).to.be.closeTo(right / 201, 1e-9);
  });

  it('two accumulated batches of 32 update as one of 64 does, the rest at the end of the epoch too', async () => {
    const points = spirals(160, 3);
    const train = async (batchSize: number, accumulate: number): Promise<Learner> => {
      const data = { train: spiralLoader(points, batchSize) };
      const learner = await spiralLearner({ ...linearModel, data, accumulate });
      await learner.fit(2, 0.5);
      return learner;
    };
    const [whole, gathered] = [await train(64, 1), await train(32, 2)];
    expect([whole.state.step, gathered.state.step]).to.deep.equal([6, 6]);
    params(gathered).forEach((value, i) => {
      expect(value).to.be.closeTo(whole.state.params[i]!, 1e-6);
    });
  });

  it('clips the norm over all gradients, and no smaller one; of accumulated batches that of their mean', async () => {
    const [norms, moves]: [number[], number[]] = [[], []];
    let before = new Float32Array(0);
    const watch: Callback = {
      name: 'watch',
      order: 30,
      afterGradients: ({ state }) => {
        norms.push(Math.hypot(...state.grads));
        before = state.params.slice();
      },
      afterBatch: ({ state, updated }) => {
        if (updated) moves.push(Math.hypot(...state.params.map((value, i) => value - before[i]!)));
        else norms.pop();
      },
    };
    const learner = await spiralLearner({ ...linearModel, accumulate: 2, callbacks: [gradientClip(0.23), watch] });
    await learner.fit(3, 0.5);
    expect(Math.min(...norms)).to.be.below(0.23);
    expect(Math.max(...norms)).to.be.above(0.23);
    moves.forEach((move, i) => {
      expect(move).to.be.closeTo(0.5 * Math.min(0.23, norms[i]!), 1e-5);
    });
  });

  it('frozen groups do not move, but their batch norm; others do', async () => {
    const learner = await spiralLearner({ splitter: groups });
    await learner.freeze();
    const before = new Map([...learner.state.tensors].map(([name, { data }]) => [name, data.slice()]));
    await learner.fit(1);
    const moved = (name: string): boolean =>
      learner.state.tensors.get(name)!.data.some((v, i) => v !== before.get(name)![i]);
    const names = learner.state.specs.map(({ name }) => name);
    expect(names.filter(moved)).to.have.members([
      'norm.weight',
      'norm.bias',
      'norm.running_mean',
      'norm.running_var',
      'head.weight',
      'head.bias',
    ]);
    expect(learner.state.gradTensors.get('body.weight')!.data.every((value) => value === 0)).to.equal(true);
    expect(learner.summary())
      .to.match(/body .* false/)
      .and.to.match(/head .* true/);
    await learner.freezeTo(1);
    await learner.fit(1);
    expect(moved('middle.weight')).to.equal(true);
    expect(moved('body.weight')).to.equal(false);
    await learner.unfreeze();
    await learner.fit(1);
    expect(moved('body.weight')).to.equal(true);
  });

  it('each group has its own learning rate, and decay spares norms and biases', async () => {
    const learner = await spiralLearner({ splitter: groups, optimizer: sgd, hyper: { momentum: 0 }, wd: 0.1 });
    const before = params(learner);
    const { state } = learner;
    for await (const { x, y } of learner.options.data.train.epoch(0)) {
      await learner.gradients({ x, y }, 1);
      break;
    }
    await learner.update(learner.hyperAt(0, slice(0.01, 1), { lr: () => 1 }));
    const rates = [0.01, 0.1, 1];
    for (const { group, decay, offset, size } of state.spans) {
      for (let i = offset; i < offset + size; i++) {
        const full = state.grads[i]! + (decay ? 0.1 * before[i]! : 0);
        expect(state.params[i]! - before[i]!).to.be.closeTo(-rates[group]! * full, 1e-6);
      }
    }
    const decayed = state.specs.filter(({ kind, decay }) => kind === 'param' && decay).map(({ name }) => name);
    expect(decayed).to.deep.equal(['body.weight', 'middle.weight', 'head.weight']);
  });

  it('lrFind suggests rates that train, and leaves everything as it was', async () => {
    const learner = await spiralLearner();
    await learner.fit(1);
    const before = [learner.state.params, learner.state.buffers, ...learner.state.moments].map((one) => one.slice());
    const { step } = learner.state;
    const found = await learner.lrFind();
    expect(found.lrs[0]).to.be.closeTo(1e-7, 1e-12);
    expect(found.lrs.length).to.be.at.most(100);
    expect(found.valley).to.be.within(1e-5, 1);
    expect(found.steep).to.be.within(1e-5, 5);
    const after = [learner.state.params, learner.state.buffers, ...learner.state.moments];
    expect(after.every((one, i) => one.every((value, k) => Object.is(value, before[i]![k])))).to.equal(true);
    expect(learner.state.step).to.equal(step);
    const diverged = await (await spiralLearner({ optimizer: sgd })).lrFind({ startLr: 1e-3, endLr: 1e6 });
    expect(diverged.lrs.length).to.be.below(100);
  });

  it('fineTune trains the head first, then everything with lower rates below', async () => {
    const learner = await spiralLearner({ splitter: groups, metrics: [accuracy()] });
    const rows = await learner.fineTune(8, { baseLr: 0.03, lrMult: 4 });
    expect(rows).to.have.length(9);
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.7);
  });

  it('fitFlatCos holds the rate, then lowers it', async () => {
    const learner = await spiralLearner();
    await learner.fitFlatCos(4, 0.01, { pctStart: 0.5 });
    const { lr } = learner.history.series;
    expect(lr!.slice(0, 16).every((value) => value === 0.01)).to.equal(true);
    expect(lr!.at(-1)).to.be.below(0.001);
  });

  it('mixup trains on mixtures and still learns', async () => {
    const learner = await spiralLearner({ metrics: [accuracy()], callbacks: [mixup({ alpha: 0.2 })] });
    const rows = await learner.fitOneCycle(20, 0.02);
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.85);
  });

  it('the loss of a mixed batch is the mixture of the losses', async () => {
    const learner = await spiralLearner(linearModel);
    for await (const { x, y } of learner.options.data.train.epoch(0)) {
      const y2: Tensor = { ...y, data: (y.data as Int32Array).map((label) => (label + 1) % 3) } as Tensor;
      const mix: Tensor = { dtype: 'float32', dims: [], data: Float32Array.of(0.7) };
      const [plain, other] = [await learner.gradients({ x, y }, 1), await learner.gradients({ x, y: y2 }, 1)];
      expect(await learner.gradients({ x, y, y2, mix }, 1)).to.be.closeTo(0.7 * plain + 0.3 * other, 1e-6);
      break;
    }
  });

  it('ema validates and ends with the averages', async () => {
    const seen: Float32Array[] = [];
    const watch: Callback = {
      name: 'watch',
      order: 99,
      afterBatch: ({ state }) => void seen.push(state.params.slice()),
    };
    const learner = await spiralLearner({ callbacks: [ema({ decay: 0.9 }), watch] });
    const average = params(learner);
    const [row] = await learner.fit(1, 0.01);
    seen.forEach((live, n) => {
      const share = 1 - Math.min(0.9, (2 + n) / (11 + n));
      live.forEach((value, i) => {
        average[i]! += share * (value - average[i]!);
      });
    });
    params(learner).forEach((value, i) => {
      expect(value).to.be.closeTo(average[i]!, 1e-5);
    });
    expect((await learner.validate()).valid_loss).to.be.closeTo(row!.metrics.valid_loss!, 1e-9);
    expect(learner.state.extra.size).to.equal(0);
  });

  it('saveBest goes back to the best epoch, earlyStopping ends after its patience', async () => {
    const ends: Float32Array[] = [];
    const watch: Callback = { name: 'watch', afterValidate: ({ state }) => void ends.push(state.params.slice()) };
    const track = { monitor: 'scripted' };
    const learner = await spiralLearner({
      metrics: [scripted(1, 3, 2, 2.5, 9)],
      callbacks: [watch, saveBest(track), earlyStopping({ ...track, patience: 2 })],
    });
    const rows = await learner.fit(5);
    expect(rows).to.have.length(4);
    expect([...params(learner)]).to.deep.equal([...ends[1]!]);
  });

  it('reduceOnPlateau lowers the rate after epochs without improvement', async () => {
    const learner = await spiralLearner({
      metrics: [scripted(1, 2, 2, 2, 3)],
      callbacks: [reduceOnPlateau({ monitor: 'scripted', patience: 1, factor: 10, minScale: 0.05 })],
    });
    await learner.fit(5, 0.01);
    const perEpoch = [0, 8, 16, 24, 32].map((batch) => learner.history.series.lr![batch]!);
    perEpoch.forEach((lr, i) => {
      expect(lr).to.be.closeTo([0.01, 0.01, 0.01, 0.001, 0.0005][i]!, 1e-9);
    });
  });

  describe('numbers that are not finite', () => {
    /** Training points with a NaN in item 200, the fourth batch in the order of the items. */
    const spoilt = (): LearnerOptions['data'] => {
      const points = spirals(500, 1);
      points.x[2 * 200] = Number.NaN;
      return { train: spiralLoader(points, 64) };
    };

    it('stopOnNan names the tensor and leaves the weights of before', async () => {
      const notes: string[] = [];
      const learner = await spiralLearner({ data: spoilt(), callbacks: [stopOnNan((text) => notes.push(text))] });
      await learner.fit(1);
      expect(notes).to.deep.equal(['stopped in epoch 0, batch 3: x is not finite (loss NaN)']);
      expect(learner.state.step).to.equal(3);
      expect([...learner.state.params, ...learner.state.buffers].every(Number.isFinite)).to.equal(true);
    });

    it('without it the run fails, and says which it was', async () => {
      const learner = await spiralLearner({ data: spoilt() });
      const failure = await learner.fit(1).then(
        () => 'no error',
        (error: unknown) => String(error),
      );
      expect(failure).to.match(/epoch 0, batch 3; the first tensor that went bad is x/);
    });

    it('a parameter that went bad is named', async () => {
      const notes: string[] = [];
      const learner = await spiralLearner({ callbacks: [stopOnNan((text) => notes.push(text))] });
      learner.state.tensors.get('middle.bias')!.data[5] = Number.POSITIVE_INFINITY;
      await learner.fit(1);
      expect(notes[0]).to.include('middle.bias is not finite');
    });
  });

  describe('answers', () => {
    it('top losses are the highest, each the negative log of the probability', async () => {
      const learner = await spiralLearner();
      await learner.fit(1);
      const { predictions, targets } = await learner.getPreds();
      const all = Array.from({ length: 201 }, (_, i) => -Math.log(predictions.data[3 * i + Number(targets.data[i])]!));
      const expected = all
        .map((loss, index) => ({ loss, index }))
        .sort((a, b) => b.loss - a.loss)
        .slice(0, 5);
      const top = await topLosses(learner, { count: 5 });
      expect(top.map(({ index }) => index)).to.deep.equal(expected.map(({ index }) => index));
      top.forEach(({ loss }, i) => {
        expect(loss).to.be.closeTo(expected[i]!.loss, 1e-4);
      });
    });

    it('tta blends the plain prediction with the views', async () => {
      const learner = await spiralLearner();
      const plain = await learner.getPreds();
      const same = await tta(learner, { views: [(x) => x] });
      const turned = (x: Tensor): Tensor => ({ ...x, data: (x.data as Float32Array).map((value) => -value) }) as Tensor;
      const [blend, only] = [await tta(learner, { views: [turned] }), await tta(learner, { views: [turned], beta: 0 })];
      const max = await tta(learner, { views: [turned], useMax: true });
      plain.predictions.data.forEach((value, i) => {
        const other = only.predictions.data[i]!;
        expect(same.predictions.data[i]).to.be.closeTo(value, 1e-6);
        expect(blend.predictions.data[i]).to.be.closeTo(0.25 * value + 0.75 * other, 1e-6);
        expect(max.predictions.data[i]).to.be.closeTo(Math.max(value, other), 1e-6);
      });
    });

    it('predict, the exported model and reloaded weights agree', async () => {
      const learner = await spiralLearner();
      await learner.fit(1);
      const { predictions } = await learner.getPreds();
      const loader = learner.validLoader('test');
      const session = await openCpu(exportModel(learner));
      const other = await spiralLearner({ seed: 9 });
      loadWeightsFile(other, weightsFile(learner, { note: 'spirals' }));
      for await (const { x } of loader.epoch(0)) {
        const item = itemOf(x, 7);
        const said = await learner.predict(item);
        const { prediction } = await session.run({ x: { ...item, dims: [1, 2] } as Tensor });
        const loaded = await other.predict(item);
        for (let c = 0; c < 3; c++) {
          expect(said.data[c]).to.be.closeTo(predictions.data[21 + c]!, 1e-6);
          expect(prediction!.data[c]).to.be.closeTo(said.data[c]!, 1e-6);
          expect(loaded.data[c]).to.equal(said.data[c]);
        }
        break;
      }
      await session.release();
    });
  });
});
