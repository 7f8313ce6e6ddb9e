import { expect } from 'chai';
import fc from 'fast-check';
import { createRng } from '../../../training/core/rng.ts';
import {
  logProbabilities,
  type SampleOptions,
  WordSampler,
  type WordScores,
} from '../../../training/generate/sample.ts';

const probabilities = [0.5, 0.2, 0.15, 0.1, 0.05];
const scores = Float32Array.from(probabilities, Math.log);
const row = (...values: readonly number[]): WordScores => ({ scores: Float32Array.from(values) });

/** How often each word is chosen. */
function shares(options: SampleOptions, rounds = 20_000, extra = {}): number[] {
  const rng = createRng('shares');
  const sampler = new WordSampler(scores.length);
  const counts = probabilities.map(() => 0);
  for (let i = 0; i < rounds; i++) counts[sampler.choose(row(...scores), options, rng, extra)]! += 1 / rounds;
  return counts;
}

/** The words that are left, by sorting all of them. */
function leftBySorting(
  values: Float32Array,
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: SampleOptions,
): number[] {
  const top = Math.max(...values);
  const weights = values.map((score) => Math.exp((score - top) / temperature));
  let ids = [...weights.keys()].filter((id) => weights[id]! > 0 && weights[id]! >= minP);
  ids.sort((a, b) => weights[b]! - weights[a]! || a - b);
  if (topK > 0) ids = ids.slice(0, topK);
  if (topP < 1) {
    const wanted = topP * ids.reduce((sum, id) => sum + weights[id]!, 0);
    let reached = 0;
    const last = ids.findIndex((id) => {
      reached += weights[id]!;
      return reached >= wanted;
    });
    if (last >= 0) ids = ids.slice(0, last + 1);
  }
  return ids.sort((a, b) => a - b);
}

/** With probabilities, as a graph would make them. */
function weighed(values: Float32Array, temperature: number): WordScores {
  const probabilities = logProbabilities(values.map((score) => score / temperature)).map(Math.exp);
  return { scores: values.slice(), probabilities };
}

const rules = { seen: new Set([2, 3, 5, 8]), banned: [0, 1, 2] };

/** The words that are left where limits, and weights that a penalty has changed, are `1 + shift` times as large, by rising id, with their weights. */
function leftExactly(
  scores: readonly number[],
  { temperature, topK, topP, minP }: Required<Omit<SampleOptions, 'repetitionPenalty'>>,
  [topPShift, minPShift, seenShift]: readonly [number, number, number],
): { readonly id: number; readonly weight: number }[] {
  const top = Math.max(...scores);
  const all = scores.map((score, id) => ({
    id,
    weight: Math.exp((score - top) / temperature) * (rules.seen.has(id) ? 1 + seenShift : 1),
  }));
  const least = Math.min(1, minP * (1 + minPShift)) * Math.max(...all.map(({ weight }) => weight));
  const possible = all.filter(({ weight }) => weight > 0 && weight >= least);
  possible.sort((a, b) => b.weight - a.weight || a.id - b.id);
  const few = topK > 0 ? possible.slice(0, topK) : possible;
  if (topP === 1) return few.sort((a, b) => a.id - b.id);
  const wanted = topP * (1 + topPShift) * few.reduce((sum, { weight }) => sum + weight, 0);
  let reached = 0;
  const last = few.findIndex(({ weight }) => {
    reached += weight;
    return reached >= wanted;
  });
  return (last < 0 ? few : few.slice(0, last + 1)).sort((a, b) => a.id - b.id);
}

/**
 * The words that the first number of `createRng(1)` may choose, in double precision: one, but for two where the sum of the weights up to a word lies
 * within rounding of what is drawn or of topP's share, a weight within rounding of minP's, or a word whose score a penalty has made that of others
 * within rounding of their weights. An f32 logarithm of a probability is off by up to
 * 2^-24 of its size, which is its probability's relative error; where bans leave a tenth of the whole, the least with
 * which the sampler works, that is ten times as large against the rest.
 */
function wordsWithinRounding(values: Float32Array, options: Required<SampleOptions>): number[] {
  const { temperature, repetitionPenalty: penalty } = options;
  const scores = [...values];
  for (const id of penalty === 1 ? [] : rules.seen)
    scores[id] = Math.fround(scores[id]! > 0 ? scores[id]! / penalty : scores[id]! * penalty);
  for (const id of rules.banned) scores[id] = Number.NEGATIVE_INFINITY;
  const largest = Math.max(...values.map(Math.abs)) / temperature;
  const rounding = 10 * 2 ** -23 * (4 + largest);
  const shifts = [-rounding, 0, rounding];
  const found = new Set<number>();
  for (const limits of shifts.flatMap((a) => shifts.flatMap((b) => shifts.map((c) => [a, b, c] as const)))) {
    const left = leftExactly(scores, options, limits);
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    for (const shift of shifts) {
      const drawn = (createRng(1).next() + shift) * total;
      let sum = 0;
      const word = left.find(({ weight }) => {
        sum += weight;
        return sum > drawn;
      });
      found.add((word ?? left.at(-1)!).id);
    }
  }
  return [...found].sort((a, b) => a - b);
}

const someScores = fc
  .tuple(fc.integer(), fc.integer({ min: 1, max: 400 }), fc.constantFrom(0.5, 3, 12), fc.boolean())
  .map(([seed, count, spread, ties]) => {
    const rng = createRng(seed);
    return Float32Array.from({ length: count }, () => (ties ? rng.int(-3, 3) : spread * rng.normal()));
  });
const someOptions = fc.record({
  temperature: fc.constantFrom(0.3, 0.8, 1, 2),
  topK: fc.constantFrom(0, 1, 5, 40, 1000),
  topP: fc.constantFrom(1e-6, 0.3, 0.9, 0.95, 1),
  minP: fc.constantFrom(0, 0, 0.001, 0.2, 1),
});

describe('choosing the next word', () => {
  it('follows the probabilities', () => {
    shares({}).forEach((share, id) => void expect(share).to.be.closeTo(probabilities[id]!, 0.015));
  });

  it('a temperature of 1/2 squares them; 0 takes the likeliest', () => {
    const squares = probabilities.map((p) => p * p);
    const sum = squares.reduce((a, b) => a + b, 0);
    shares({ temperature: 0.5 }).forEach((share, id) => void expect(share).to.be.closeTo(squares[id]! / sum, 0.015));
    expect(shares({ temperature: 0 }, 50)[0]).to.be.closeTo(1, 1e-9);
  });

  it('top-k, nucleus and min-p leave the words that they say', () => {
    const sampler = new WordSampler(scores.length);
    const left = (options: SampleOptions): number[] => [...sampler.left(row(...scores), options)];
    expect(left({ topK: 2 })).to.deep.equal([0, 1]);
    expect(left({ topP: 0.69 })).to.deep.equal([0, 1]);
    expect(left({ topP: 0.71 })).to.deep.equal([0, 1, 2]);
    expect(left({ topP: 1e-9 })).to.deep.equal([0]);
    expect(left({ minP: 0.25 })).to.deep.equal([0, 1, 2]);
    // Half of what two words have together is the first alone.
    expect(left({ topK: 2, topP: 0.7 })).to.deep.equal([0]);
    expect(left({})).to.deep.equal([0, 1, 2, 3, 4]);
  });

  it('leaves what sorting all words would, whatever their number, ties and options', () => {
    fc.assert(
      fc.property(someScores, someOptions, (values, options) => {
        const found = new WordSampler(values.length).left({ scores: values }, options);
        expect([...found]).to.deep.equal(leftBySorting(values, options));
      }),
      { numRuns: 1000 },
    );
  });

  it('with probabilities from the graph chooses the same words, also where penalties and bans change them', () => {
    fc.assert(
      fc.property(someScores, someOptions, fc.constantFrom(1, 1.3, 0.5, 50), (values, options, repetitionPenalty) => {
        fc.pre(values.length > 10);
        const all = { ...options, repetitionPenalty };
        const sampler = new WordSampler(values.length);
        const own = sampler.choose({ scores: values.slice() }, all, createRng(1), rules);
        const given = sampler.choose(weighed(values, options.temperature), all, createRng(1), rules);
        if (given !== own) expect(wordsWithinRounding(values, all)).to.include.members([own, given]);
      }),
      { numRuns: 1000 },
    );
  });

  it('a word that a penalty has made likely and a ban takes away leaves the others as they were', () => {
    const values = Float32Array.of(0, 0, 6, 0, 0, 0, 0, 0, 0, ...new Array<number>(40).fill(5.9));
    const options = { temperature: 0.3, repetitionPenalty: 0.5 };
    const seen = { seen: new Set([2]), banned: [2] };
    const chosen = (row: WordScores, seed: number): number =>
      new WordSampler(values.length).choose(row, options, createRng(seed), seen);
    for (let seed = 0; seed < 200; seed++)
      expect(chosen(weighed(values, 0.3), seed)).to.equal(chosen({ scores: values.slice() }, seed));
  });

  it('both choose a word that is not at a boundary, and a boundary has two', () => {
    const sixteenth = (share: number): Float32Array => Float32Array.of(0, 0, 0, Math.log(share), Math.log(16 - share));
    const drawnAt = 16 * createRng(1).next();
    const options = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };
    expect(wordsWithinRounding(sixteenth(drawnAt + 0.01), options)).to.deep.equal([3]);
    expect(wordsWithinRounding(sixteenth(drawnAt - 0.01), options)).to.deep.equal([4]);
    expect(wordsWithinRounding(sixteenth(drawnAt), options)).to.deep.equal([3, 4]);
  });

  it('chooses among a few words only where it must', () => {
    expect(shares({}, 20_000, { only: [1, 3] })[1]).to.be.closeTo(2 / 3, 0.015);
    expect(new WordSampler(5).choose(row(...scores), { temperature: 0 }, createRng(1), { only: [4, 2] })).to.equal(2);
  });

  it('the penalty makes what occurred less likely, whatever the sign of its score', () => {
    const options = { temperature: 0, repetitionPenalty: 2 };
    const chosen = (values: readonly number[], seen: readonly number[]): number =>
      new WordSampler(values.length).choose(row(...values), options, createRng(1), { seen: new Set(seen) });
    expect(chosen([3, 2], [0])).to.equal(1);
    expect(chosen([-1, -1.5], [0])).to.equal(1);
    expect(chosen([3, 1], [0])).to.equal(0);
  });

  it('never chooses what is banned', () => {
    expect(shares({}, 2000, { banned: [0, 3] }).map((share) => share > 0)).to.deep.equal([
      false,
      true,
      true,
      false,
      true,
    ]);
  });

  it('log probabilities add up to one, also of large scores', () => {
    const logP = logProbabilities(Float32Array.of(1000, 999, -1000));
    expect(logP.reduce((sum, one) => sum + Math.exp(one), 0)).to.be.closeTo(1, 1e-6);
    expect(logP[0]! - logP[1]!).to.be.closeTo(1, 1e-4);
  });
});
