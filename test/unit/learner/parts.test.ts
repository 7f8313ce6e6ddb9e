import { expect } from 'chai';
import { createRng } from '../../../training/core/rng.ts';
import { symmetricBeta } from '../../../training/learner/callbacks/mixup.ts';
import { smoothed } from '../../../training/learner/callbacks/record.ts';
import { improvements } from '../../../training/learner/callbacks/track.ts';
import { explainRun } from '../../../training/learner/explain.ts';
import { countGroups, learningRates, scaleRate, slice, splitByPrefix } from '../../../training/learner/groups.ts';
import { suggestLr } from '../../../training/learner/lr-find.ts';
import { flatCosPolicy, oneCyclePolicy } from '../../../training/learner/policies.ts';
import { allFinite } from '../../../training/loop/health.ts';
import type { EpochRow } from '../../../training/loop/recorder.ts';
import type { ParamSpec } from '../../../training/nn/scope.ts';
import { confusionMatrix, flipHorizontal, mostConfused } from '../../../training/report/interpret.ts';
import { tensorOf } from '../../helpers/tiny-tasks.ts';

const spec = (name: string): ParamSpec => ({
  name,
  shape: [1],
  kind: 'param',
  init: () => new Float32Array(1),
  decay: true,
});
const rows = (...losses: number[]): EpochRow[] =>
  losses.map((loss, epoch) => ({ epoch, trainLoss: loss, seconds: 0, metrics: { valid_loss: loss, accuracy: -loss } }));

describe('groups and their learning rates', () => {
  it('slice(a) gives a tenth to all groups but the last, slice(a, b) goes up by equal factors', () => {
    expect(learningRates(0.3, 2)).to.deep.equal([0.3, 0.3]);
    expect(learningRates(slice(0.3), 3)).to.deep.equal([0.03, 0.03, 0.3]);
    const [a, b, c] = learningRates(slice(1e-5, 1e-3), 3) as [number, number, number];
    expect([a, b, c].map((rate) => Math.round(Math.log10(rate) * 1e6) / 1e6)).to.deep.equal([-5, -4, -3]);
    expect(learningRates(slice(1e-5, 1e-3), 1)).to.deep.equal([1e-3]);
    expect(learningRates(scaleRate(slice(1, 4), 0.5), 2)).to.deep.equal([0.5, 2]);
  });

  it('splitByPrefix goes by whole parts of a name', () => {
    const split = splitByPrefix(['layer1'], ['layer2', 'norm']);
    expect(['layer1.weight', 'layer10.weight', 'norm', 'layer2.0.bias'].map(split)).to.deep.equal([0, 2, 1, 1]);
  });

  it('a group without parameters is refused', () => {
    expect(countGroups([spec('a.w'), spec('b.w')], splitByPrefix(['a']))).to.equal(2);
    expect(() => countGroups([spec('a.w'), spec('b.w')], splitByPrefix(['a'], ['misspelt']))).to.throw(
      /none in group 1/,
    );
  });
});

describe('policies', () => {
  it('one cycle goes up from 1/25 to 1 and down to 1/100000, momentum the other way', () => {
    const { lr, mom } = oneCyclePolicy({ pctStart: 0.25 });
    expect(lr(0)).to.be.closeTo(1 / 25, 1e-12);
    expect(lr(0.25)).to.be.closeTo(1, 1e-12);
    expect(lr(0.125)).to.be.closeTo((1 + 1 / 25) / 2, 1e-12);
    expect(lr(1)).to.be.closeTo(1e-5, 1e-12);
    expect([mom!(0), mom!(0.25), mom!(1)].map((value) => value.toFixed(6))).to.deep.equal([
      '0.950000',
      '0.850000',
      '0.950000',
    ]);
  });

  it('flat, then down', () => {
    const { lr } = flatCosPolicy({ pctStart: 0.5 });
    expect(lr(0.49)).to.equal(1);
    expect(lr(0.75)).to.be.closeTo(0.5, 1e-4);
    expect(lr(1)).to.be.closeTo(1e-5, 1e-12);
  });
});

describe('the learning rate finder', () => {
  // Flat, then down by equal steps from index 40 to 79, then up.
  const lrs = Array.from({ length: 100 }, (_, i) => 10 ** (-7 + (8 * i) / 99));
  const losses = lrs.map((_, i) => (i < 40 ? 3 + i * 1e-6 : i < 80 ? 3 - (i - 39) * 0.05 : 1 + (i - 79) * 0.5));

  it('finds the valley in the middle of the descent, the lowest loss at its end', () => {
    const { valley, minimum } = suggestLr(lrs, losses);
    const index = lrs.indexOf(valley);
    expect(index).to.be.within(56, 62);
    expect(minimum).to.be.closeTo(lrs[79]! / 10, 1e-12);
  });

  it('finds where the loss falls fastest', () => {
    const cliff = losses.map((loss, i) => (i >= 60 && i < 80 ? loss - 0.5 : loss));
    expect(lrs.indexOf(suggestLr(lrs, cliff).steep)).to.be.within(59, 60);
  });

  it('asks for more points', () => {
    expect(() => suggestLr([1, 2], [1, 2])).to.throw(/at least 10/);
  });

  it('smoothing corrects the bias of its start', () => {
    expect(smoothed([4, 4, 4]).map((value) => value.toFixed(9))).to.deep.equal([
      '4.000000000',
      '4.000000000',
      '4.000000000',
    ]);
    expect(smoothed([1, 0], 0.5)[1]).to.be.closeTo(1 / 3, 1e-12);
  });
});

describe('what callbacks decide by', () => {
  it('improvements over the best so far, in the direction of the metric', () => {
    expect(improvements(rows(3, 2, 2, 1), {})).to.deep.equal([true, true, false, true]);
    expect(improvements(rows(3, 2, 1.95), { minDelta: 0.1 })).to.deep.equal([true, true, false]);
    expect(improvements(rows(3, 2, 4), { monitor: 'accuracy' })).to.deep.equal([true, true, false]);
    expect(() => improvements(rows(1), { monitor: 'dice' })).to.throw(/train_loss, valid_loss, accuracy, got dice/);
  });

  it('explain lists callbacks by event and order', () => {
    const text = explainRun([
      { name: 'late', order: 5, afterBatch: () => {} },
      { name: 'early', afterBatch: () => {}, afterFit: () => {} },
    ]);
    expect(text).to.match(/^ {4}afterBatch +early, late$/m);
    expect(text).to.match(/^afterFit +early$/m);
    expect(text).to.match(/^ {2}beforeEpoch +-$/m);
  });

  it('one value that is not finite is seen', () => {
    const values = new Float32Array(1000);
    expect(allFinite(values)).to.equal(true);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      values[777] = bad;
      expect(allFinite(values)).to.equal(false);
    }
  });

  it('Beta(0.4, 0.4) has mean 1/2 and variance 1 / (4 (2 a + 1))', () => {
    const rng = createRng(3);
    const draws = Array.from({ length: 20_000 }, () => symmetricBeta(rng, 0.4));
    const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
    const variance = draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws.length;
    expect(mean).to.be.closeTo(0.5, 0.01);
    expect(variance).to.be.closeTo(1 / (4 * 1.8), 0.005);
  });
});

describe('interpretation', () => {
  it('the confusion matrix has actual classes in rows', () => {
    const predictions = tensorOf([4, 2], [0.9, 0.1, 0.2, 0.8, 0.3, 0.7, 0.6, 0.4]);
    const targets = { dtype: 'int32', dims: [4], data: Int32Array.of(0, 1, 0, 0) } as const;
    const confusion = confusionMatrix({ predictions, targets });
    expect([...confusion.counts]).to.deep.equal([2, 1, 0, 1]);
    expect(mostConfused(confusion)).to.deep.equal([{ actual: 0, predicted: 1, count: 1 }]);
    expect(mostConfused(confusion, 2)).to.deep.equal([]);
  });

  it('flipping swaps columns within rows', () => {
    const flipped = flipHorizontal(tensorOf([1, 1, 2, 3], [1, 2, 3, 4, 5, 6]), 0);
    expect([...(flipped.data as Float32Array)]).to.deep.equal([3, 2, 1, 6, 5, 4]);
  });
});
