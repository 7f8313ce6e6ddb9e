import { expect } from 'chai';
import type { Tensor } from '../../../training/core/tensor.ts';
import * as metrics from '../../../training/learner/metrics.ts';
import { tensorOf } from '../../helpers/tiny-tasks.ts';

const labels = (...values: number[]): Tensor => ({
  dtype: 'int32',
  dims: [values.length],
  data: Int32Array.from(values),
});

/** The metric over batches of (scores, target). */
function over(metric: metrics.Metric, batches: readonly (readonly [Tensor<'float32'>, Tensor])[]): number {
  const run = metric.start();
  for (const [prediction, target] of batches) run.add(prediction, target);
  return run.value();
}

/** Scores whose highest is the given class, of `classes`. */
const sure = (classes: number, ...picked: number[]): Tensor<'float32'> =>
  tensorOf(
    [picked.length, classes],
    picked.flatMap((one) => Array.from({ length: classes }, (_, c) => (c === one ? 1 : 0))),
  );

describe('metrics of the learner', () => {
  it('count items, not batches', () => {
    // One of one right, then none of three: a mean over batches would say 0.5.
    const batches = [
      [sure(3, 2), labels(2)],
      [sure(3, 0, 0, 0), labels(1, 1, 2)],
    ] as const;
    expect(over(metrics.accuracy(), batches)).to.equal(0.25);
    expect(over(metrics.errorRate(), batches)).to.equal(0.75);
  });

  it('leave an ignored label out', () => {
    expect(over(metrics.accuracy({ ignore: 2 }), [[sure(3, 0, 0, 0), labels(0, 1, 2)]])).to.equal(0.5);
  });

  it('that need the score of the label refuse one that has none', () => {
    for (const label of [-1, 3])
      for (const [name, metric] of Object.entries({
        top_5: metrics.topK(),
        confusion: metrics.iou(),
        perplexity: metrics.perplexity(),
      }))
        expect(() => over(metric, [[sure(3, 0, 1), labels(0, label)]])).to.throw(
          `${name}: expected labels 0..2, got ${label}; give ignore: ${label} if it stands for no class`,
        );
    expect(over(metrics.topK(1, { ignore: -1 }), [[sure(3, 0, 1), labels(0, -1)]])).to.equal(1);
  });

  it('look along the axis of the classes', () => {
    // [N,C,2]: position 0 states class 0, position 1 class 1.
    const perPixel = tensorOf([1, 2, 2], [5, 0, 1, 7]);
    expect(over(metrics.accuracy(), [[perPixel, labels(0, 1)]])).to.equal(1);
    expect(over(metrics.accuracy({ axis: -1 }), [[perPixel, labels(0, 1)]])).to.equal(1);
    expect(over(metrics.accuracy({ axis: -1 }), [[perPixel, labels(1, 0)]])).to.equal(0);
    expect(() => over(metrics.accuracy(), [[perPixel, labels(0)]])).to.throw(/expected a label for each of 2/);
  });

  it('topK counts ties as an argmax does', () => {
    const scores = tensorOf([2, 4], [0.1, 0.4, 0.3, 0.2, 1, 1, 1, 1]);
    expect(over(metrics.topK(2), [[scores, labels(2, 2)]])).to.equal(0.5);
    expect(over(metrics.topK(3), [[scores, labels(2, 2)]])).to.equal(1);
    expect(over(metrics.topK(1), [[scores, labels(1, 0)]])).to.equal(1);
  });

  it('iou, dice and F-score come from the counts of the whole set', () => {
    // Class 1: 2 hits, 1 wrong, 1 missed. Class 0: 1 hit, 1 wrong, 1 missed.
    const batches = [
      [sure(2, 1, 1, 1), labels(1, 1, 0)],
      [sure(2, 0, 0), labels(1, 0)],
    ] as const;
    expect(over(metrics.iou(), batches)).to.be.closeTo((2 / 4 + 1 / 3) / 2, 1e-12);
    expect(over(metrics.dice(), batches)).to.be.closeTo(4 / 6, 1e-12);
    expect(over(metrics.fScore(), batches)).to.be.closeTo(4 / 6, 1e-12);
    expect(over(metrics.fScore({ average: 'macro' }), batches)).to.be.closeTo((4 / 6 + 2 / 4) / 2, 1e-12);
    // Recall 2 of 4, precision 2 of 2: F2 leans to the recall.
    const careful = [[sure(2, 1, 1, 0, 0, 0), labels(1, 1, 1, 1, 0)]] as const;
    expect(over(metrics.fScore({ beta: 2 }), careful)).to.be.closeTo((5 * 1 * 0.5) / (4 * 1 + 0.5), 1e-12);
  });

  it('perplexity of an even guess is the number of classes', () => {
    const even = tensorOf(
      [3, 7],
      Array.from({ length: 21 }, () => 123),
    );
    expect(over(metrics.perplexity(), [[even, labels(0, 3, 6)]])).to.be.closeTo(7, 1e-9);
  });

  it('accuracyThresh works on logits', () => {
    const logits = tensorOf([4], [-1, 0.5, 2, -3]);
    const half = over(metrics.accuracyThresh(), [[logits, tensorOf([4], [0, 1, 0, 0])]]);
    expect(half).to.equal(0.75);
    // sigmoid(0.5) is 0.62: below a threshold of 0.7.
    expect(over(metrics.accuracyThresh(0.7), [[logits, tensorOf([4], [0, 1, 0, 0])]])).to.equal(0.5);
  });

  it('errors and PSNR', () => {
    const [a, b] = [tensorOf([2, 1], [0.5, 0.75]), tensorOf([2, 1], [0.25, 0.25])];
    expect(over(metrics.mse(), [[a, b]])).to.be.closeTo((0.0625 + 0.25) / 2, 1e-9);
    expect(over(metrics.rmse(), [[a, b]])).to.be.closeTo(Math.sqrt((0.0625 + 0.25) / 2), 1e-9);
    expect(over(metrics.mae(), [[a, b]])).to.be.closeTo(0.375, 1e-9);
    // Per picture 12.04 and 6.02 dB.
    expect(over(metrics.psnr(), [[a, b]])).to.be.closeTo((20 * Math.log10(4) + 20 * Math.log10(2)) / 2, 1e-9);
    // What is out of range is clipped first: 1.5 is as good as 1.
    expect(over(metrics.psnr(), [[tensorOf([1, 2], [1.5, 0]), tensorOf([1, 2], [1, 0.1])]])).to.be.closeTo(
      10 * Math.log10(2 / 0.01),
      1e-4,
    );
  });

  it('ssim of a picture and itself is 1, of its negative below 0.5', () => {
    const values = Array.from({ length: 3 * 16 * 16 }, (_, i) => (i % 16) / 15);
    const picture = tensorOf([1, 3, 16, 16], values);
    const negative = tensorOf(
      [1, 3, 16, 16],
      values.map((value) => 1 - value),
    );
    expect(over(metrics.ssim(), [[picture, picture]])).to.be.closeTo(1, 1e-9);
    expect(over(metrics.ssim(), [[negative, picture]])).to.be.below(0.5);
  });
});
