import { expect } from 'chai';
import { createRng } from '../../../training/core/rng.ts';
import { discountsOf, kneserNey } from '../../../training/text/kneser-ney.ts';

/** Words 0 .. words-1, few of them often and many seldom, half of them decided by the two before. */
function text(length: number, words: number, seed: number): Int32Array {
  const rng = createRng(seed);
  const ids = new Int32Array(length);
  for (let i = 2; i < length; i++) {
    const drawn = Math.floor(words ** rng.next()) - 1;
    ids[i] = rng.next() < 0.5 ? drawn : (3 * ids[i - 1]! + 5 * ids[i - 2]! + 1) % (words - 2);
  }
  return ids;
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

describe('Kneser-Ney', () => {
  it('takes the discounts of Chen and Goodman off, or usual ones where the text is too small', () => {
    const counts = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 9];
    const y = 6 / (6 + 2 * 3);
    const [one, two, more] = discountsOf(counts);
    expect(one).to.be.closeTo(1 - (2 * y * 3) / 6, 1e-12);
    expect(two).to.be.closeTo(2 - (3 * y * 2) / 3, 1e-12);
    expect(more).to.be.closeTo(3 - (4 * y * 1) / 2, 1e-12);
    expect(discountsOf([1, 1, 5])).to.deep.equal([0.5, 1, 1.5]);
  });

  it('gives probabilities above 0 that add up to 1 after any history, known or not', () => {
    const words = 40;
    for (const order of [1, 2, 3, 5]) {
      const tokens = text(3000, words, 1);
      const model = kneserNey(tokens, { words, order });
      const histories = [
        [],
        [39],
        [38, 39, 38, 39],
        [tokens.at(-1)!],
        ...[0, 7, 300, 2990].map((i) => tokens.subarray(i, i + 6)),
      ];
      for (const history of histories) {
        const all = Array.from({ length: words }, (_, word) => model.probability(word, history));
        expect(Math.min(...all)).to.be.above(0);
        expect(sumOf(all)).to.be.closeTo(1, 1e-12);
      }
    }
  });

  it('is what the formula gives by hand for pairs of words', () => {
    // 0 1 0 1 0 2: pairs 01 twice, 10 twice, 02 once; discounts are the usual ones.
    const model = kneserNey(Int32Array.of(0, 1, 0, 1, 0, 2), { words: 4, order: 2 });
    // 0 comes after 1 and after nothing, 1 after 0, 2 after 0: counts 2, 1, 1 of 4.
    const uniform = ((1 + 0.5 + 0.5) / 4) * (1 / 4);
    const single = [1 / 4 + uniform, 0.5 / 4 + uniform, 0.5 / 4 + uniform, uniform];
    for (const [word, p] of single.entries()) expect(model.probability(word)).to.be.closeTo(p, 1e-12);
    // After 0 three times something: 1 twice, 2 once.
    const gamma = (1 + 0.5) / 3;
    expect(model.probability(1, [0])).to.be.closeTo((2 - 1) / 3 + gamma * single[1]!, 1e-12);
    expect(model.probability(2, [3, 0])).to.be.closeTo((1 - 0.5) / 3 + gamma * single[2]!, 1e-12);
    // Nothing ever followed 2.
    expect(model.probability(0, [2])).to.be.closeTo(single[0]!, 1e-12);
  });

  it('measures the words that a language model is measured on, row by row', () => {
    const words = 30;
    const model = kneserNey(text(2000, words, 2), { words, order: 3 });
    const held = text(103, words, 3);
    const losses = [0, 1].flatMap((row) => {
      const part = held.subarray(row * 51, row * 51 + 51);
      return Array.from({ length: 50 }, (_, i) => -Math.log(model.probability(part[i + 1]!, part.subarray(0, i + 1))));
    });
    expect(model.perplexity(held, { batchSize: 2 })).to.be.closeTo(Math.exp(sumOf(losses) / 100), 1e-9);
  });

  it('with longer histories knows better what comes next, and never what it has not seen', () => {
    const words = 60;
    const [train, held] = [text(20_000, words, 4), text(4000, words, 5)];
    const of = (order: number): number => kneserNey(train, { words, order }).perplexity(held);
    expect(of(2)).to.be.below(of(1));
    expect(of(3)).to.be.below(0.8 * of(2));
    // Two words decide: more of them are no use, and cost little.
    expect(of(5)).to.be.within(of(3), 1.25 * of(3));
    // Words drawn alike are as hard as there are words.
    const rng = createRng(6);
    const noise = Int32Array.from({ length: 20_000 }, () => rng.int(0, words - 1));
    expect(kneserNey(noise, { words }).perplexity(noise.map((id) => (id * 7 + 1) % words))).to.be.above(0.95 * words);
  });

  it('refuses ids of another vocabulary', () => {
    expect(() => kneserNey(Int32Array.of(1, 9), { words: 5 })).to.throw(/word ids in 0\.\.4, got 9 at 1/);
    const model = kneserNey(Int32Array.of(1, 2, 3), { words: 5 });
    expect(() => model.perplexity(Int32Array.of(1, 2), { batchSize: 2 })).to.throw(
      /at least 4 words for 2 rows, got 2/,
    );
  });
});
