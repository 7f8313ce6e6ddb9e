import { expect } from 'chai';
import { i32, type Tensor } from '../../training/core/tensor.ts';
import { createLearner, type Learner, type LearnerOptions, type Loader } from '../../training/learner/learner.ts';
import { accuracy, perplexity } from '../../training/learner/metrics.ts';
import { embedding, gru, linear } from '../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import * as o from '../../training/ops/build.ts';
import { spiralOptions } from '../helpers/tiny-tasks.ts';

describe('texts of unequal lengths', () => {
  /** Batches of 4 x 2, 4 x 5 and 3 x 3 words, scored by a table; the label 9 does not count. */
  const shapes = [
    [4, 2],
    [4, 5],
    [3, 3],
  ] as const;
  const text: Loader = {
    batchesPerEpoch: shapes.length,
    async *epoch(_epoch, { fromBatch = 0 } = {}) {
      for (const [i, dims] of shapes.entries()) {
        if (i < fromBatch) continue;
        const word = (k: number): number => (7 * i + 3 * k * k + k) % 5;
        const size = dims[0] * dims[1];
        const x = i32(
          dims,
          Array.from({ length: size }, (_, k) => word(k)),
        );
        // Nothing of the last batch counts but its first word.
        yield {
          x,
          y: i32(
            dims,
            Array.from({ length: size }, (_, k) => (i === 2 && k > 0 ? 9 : word(k + 1))),
          ),
        };
      }
    },
  };
  const options = (ignoreIndex: number): Partial<LearnerOptions> => ({
    model: (scope, x) => o.transpose(embedding(scope, x, { rows: 5, width: 10 }), [0, 2, 1]),
    loss: (scores, labels) => crossEntropyLoss(scores, labels, { ignoreIndex }),
    activation: (scores) => o.softmax(scores, 1),
    data: { train: text, valid: text },
  });

  /** The mean over all words, from the table itself. */
  async function byHand({ state }: Learner, ignored: number): Promise<{ loss: number; right: number }> {
    const table = state.params;
    let [sum, right, count] = [0, 0, 0];
    for await (const { x, y } of text.epoch(0)) {
      for (const [k, label] of [...(y.data as Int32Array)].entries()) {
        if (label === ignored) continue;
        const from = 10 * Number(x.data[k]);
        const scores = [...table.subarray(from, from + 10)];
        sum += Math.log(scores.reduce((total, score) => total + Math.exp(score), 0)) - scores[label]!;
        if (scores.indexOf(Math.max(...scores)) === label) right += 1;
        count += 1;
      }
    }
    return { loss: sum / count, right: right / count };
  }

  for (const [what, ignored, more] of [
    ['count by their words', -1, {}],
    [
      'count by the words that the loss looks at',
      9,
      { countTargets: ({ data }: Tensor) => [...data].filter((y) => y !== 9).length },
    ],
  ] as const) {
    it(`${what}, in valid_loss and metrics`, async () => {
      const learner = await createLearner(
        spiralOptions({
          ...options(ignored),
          ...more,
          metrics: [accuracy({ ignore: ignored }), perplexity({ ignore: ignored })],
        }),
      );
      const measured = await learner.validate();
      const expected = await byHand(learner, ignored);
      expect(measured.valid_loss).to.be.closeTo(expected.loss, 1e-6);
      expect(measured.perplexity).to.be.closeTo(Math.exp(expected.loss), 1e-5);
      expect(measured.accuracy).to.be.closeTo(expected.right, 1e-9);
      await learner.close();
    });
  }

  it('train alike with their time steps unrolled and as a Scan', async () => {
    const losses: (readonly number[])[] = [];
    for (const loops of ['unrolled', 'scan'] as const) {
      const learner = await createLearner({
        ...spiralOptions(),
        ...options(9),
        model: (scope, x) => {
          const words = scope.in('words', (s) => embedding(s, x, { rows: 5, width: 6 }));
          const { output } = scope.in('rnn', (s) => gru(s, words, { hidden: 8 }));
          return o.transpose(
            scope.in('head', (s) => linear(s, output, 10)),
            [0, 2, 1],
          );
        },
        loops,
      } as LearnerOptions);
      const rows = await learner.fit(2, 0.05);
      losses.push(rows.flatMap(({ trainLoss, metrics }) => [trainLoss, metrics.valid_loss!]));
      await learner.close();
    }
    expect(losses[0]![3]).to.be.below(losses[0]![1]!);
    losses[0]!.forEach((loss, i) => {
      expect(losses[1]![i]).to.be.closeTo(loss, 1e-4 * loss);
    });
  });
});
