import { expect } from 'chai';
import { createRng } from '../../../training/core/rng.ts';
import { frequentTags, logisticRegression, naiveBayes } from '../../../training/text/baselines.ts';
import { inPieces, type LabelledText, taggedTexts } from '../../../training/text/labelled.ts';

/** Words 0..9 are a bit more frequent in class 0, 10..19 in class 1; the order carries no information. */
function bags(count: number, seed: number): LabelledText[] {
  const rng = createRng(seed);
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2;
    const word = (): number => rng.int(0, 9) + (rng.next() < 0.7 ? 10 * label : 10 * (1 - label));
    return { ids: Int32Array.from({ length: 15 }, word), label };
  });
}

const shareRight = (guess: (ids: Int32Array) => number, texts: readonly LabelledText[]): number =>
  texts.filter(({ ids, label }) => guess(ids) === label).length / texts.length;

describe('bags of words', () => {
  const [train, held] = [bags(400, 1), bags(400, 2)];
  const sizes = { classes: 2, words: 20 };
  // Fifteen draws of .7: the larger part is the right one with p = .95.
  for (const [name, guess] of [
    ['naive Bayes', naiveBayes(train, sizes)],
    ['logistic regression', logisticRegression(train, sizes)],
  ] as const)
    it(`${name} is nearly as good as can be`, () => {
      expect(shareRight(guess, held)).to.be.within(0.9, 0.99);
    });

  it('naive Bayes is what the formula gives', () => {
    const texts = [
      { ids: Int32Array.of(0, 0, 1), label: 0 },
      { ids: Int32Array.of(1, 2), label: 1 },
    ];
    const guess = naiveBayes(texts, { classes: 2, words: 3 });
    // p(1|0) = 2/6, p(1|1) = 2/5; p(0|0) = 3/6, p(0|1) = 1/5.
    expect([guess(Int32Array.of(1)), guess(Int32Array.of(0)), guess(Int32Array.of(1, 1, 0))]).to.deep.equal([1, 0, 0]);
  });
});

describe('tagged texts', () => {
  const text = { ids: Int32Array.of(5, 6, 7, 8, 9), labels: Int32Array.of(-1, 0, 1, 0, 2) };

  it('are padded with words and labels that do not count', async () => {
    const loader = taggedTexts({ texts: [text], batchSize: 1, lengths: [8] });
    for await (const { x, y } of loader.epoch(0)) {
      expect([...x.data]).to.deep.equal([5, 6, 7, 8, 9, 1, 1, 1]);
      expect([...y.data]).to.deep.equal([-1, 0, 1, 0, 2, -1, -1, -1]);
    }
    expect(() => taggedTexts({ texts: [{ ...text, labels: Int32Array.of(1) }], batchSize: 1 })).to.throw(
      /a label for each of the 5 words of text 0, got 1/,
    );
  });

  it('in pieces lose nothing', () => {
    const pieces = inPieces([text], 2);
    expect(pieces.map(({ ids }) => [...ids])).to.deep.equal([[5, 6], [7, 8], [9]]);
    expect(pieces.flatMap(({ labels }) => [...labels])).to.deep.equal([...text.labels]);
  });

  it('the most frequent label of a word is taken, of unknown words that of most', () => {
    const tag = frequentTags([text, { ids: Int32Array.of(6, 6, 7), labels: Int32Array.of(1, 1, 1) }], 3);
    expect([6, 7, 8, 9, 5, 99].map(tag)).to.deep.equal([1, 1, 0, 2, 1, 1]);
  });
});
