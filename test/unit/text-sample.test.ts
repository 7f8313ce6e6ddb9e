import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import { type Tensor, zeros } from '../../training/core/tensor.ts';
import { beamSearch, generateText, type OpenTextModel } from '../../training/data/text/generate.ts';
import { choices, logProbabilities, sampleWord } from '../../training/data/text/sample.ts';
import { specialTokens } from '../../training/data/text/special.ts';
import { Vocab } from '../../training/data/text/vocab.ts';

const probabilities = [0.5, 0.2, 0.15, 0.1, 0.05];
const scores = Float32Array.from(probabilities, Math.log);

/** How often each word is chosen. */
function shares(options: Parameters<typeof sampleWord>[1], rounds = 20_000, extra = {}): number[] {
  const rng = createRng('shares');
  const counts = probabilities.map(() => 0);
  for (let i = 0; i < rounds; i++) counts[sampleWord(scores, options, rng, extra)]! += 1 / rounds;
  return counts;
}

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
    const left = (options: Parameters<typeof choices>[1]): number[] => [...choices(scores, options).ids].sort();
    expect(left({ topK: 2 })).to.deep.equal([0, 1]);
    expect(left({ topP: 0.69 })).to.deep.equal([0, 1]);
    expect(left({ topP: 0.71 })).to.deep.equal([0, 1, 2]);
    expect(left({ topP: 1e-9 })).to.deep.equal([0]);
    expect(left({ minP: 0.25 })).to.deep.equal([0, 1, 2]);
    // Half of what two words have together is the first alone.
    expect(left({ topK: 2, topP: 0.7 })).to.deep.equal([0]);
    expect(left({})).to.deep.equal([0, 1, 2, 3, 4]);
  });

  it('the penalty makes what occurred less likely, whatever the sign of its score', () => {
    const options = { temperature: 0, repetitionPenalty: 2 };
    expect(sampleWord(Float32Array.of(3, 2), options, createRng(1), { seen: [0, 0] })).to.equal(1);
    expect(sampleWord(Float32Array.of(-1, -1.5), options, createRng(1), { seen: [0] })).to.equal(1);
    expect(sampleWord(Float32Array.of(3, 1), options, createRng(1), { seen: [0] })).to.equal(0);
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

const words = ['a', 'b', 'c', '.', '7', '\n'];
const vocab = new Vocab([...specialTokens, ...words]);

/** A model that says, by the last word alone, how likely each next one is; its state counts the words read. */
function chain(
  next: (last: string) => Readonly<Record<string, number>>,
): OpenTextModel & { readonly batches: number[] } {
  const batches: number[] = [];
  const run = async ({ words: fed, 'state.0.hidden': state }: Readonly<Record<string, Tensor>>) => {
    const [n, t] = fed!.dims as [number, number];
    batches.push(n);
    const scores = zeros('float32', [n, vocab.size]);
    const states = zeros('float32', [1, n, 1]);
    for (let row = 0; row < n; row++) {
      const likely = next(vocab.words[Number(fed!.data[(row + 1) * t - 1])]!);
      for (const [id, word] of vocab.words.entries())
        scores.data[row * vocab.size + id] = Math.log(likely[word] ?? 1e-9);
      states.data[row] = Number(state!.data[row]) + t;
    }
    return { scores, 'next/state.0.hidden': states };
  };
  return { session: { run }, vocab, states: [{ name: 'state.0.hidden', size: 1 }], batches };
}

const even = chain(() => ({ a: 1, b: 1, c: 1, '.': 1, xxbos: 0.3, xxunk: 5, xxmaj: 1 }));

describe('writing texts', () => {
  it('the same seed gives the same text, whatever the number of candidates; another seed another', async () => {
    const [one] = await generateText(even, { seed: 5 });
    const many = await generateText(even, { seed: 5, n: 4 });
    expect(many[0]).to.deep.equal(one);
    expect(new Set(many.map(({ text }) => text)).size).to.be.greaterThan(1);
    expect((await generateText(even, { seed: 6 }))[0]).to.not.deep.equal(one);
  });

  it('shows no xxunk nor other special word, and ends at xxbos', async () => {
    const texts = await generateText(even, { n: 40, maxTokens: 30 });
    expect(texts.map(({ text }) => text).join(' ')).to.not.match(/xx/);
    expect(new Set(texts.map(({ finishReason }) => finishReason))).to.deep.equal(new Set(['stop', 'length']));
    for (const { tokens, finishReason } of texts) if (finishReason === 'length') expect(tokens).to.equal(30);
  });

  it('gives what follows the prompt, and the pieces that it tells add up to it', async () => {
    const pieces: string[] = ['', ''];
    const model = chain((last) => (last === 'b' ? { c: 1 } : last === 'c' ? { '.': 1 } : { xxbos: 1 }));
    const found = await generateText(model, {
      prompt: 'A b',
      n: 2,
      onText: (candidate, piece) => {
        pieces[candidate] += piece;
      },
    });
    expect(found[0]).to.deep.equal({ text: ' c.', tokens: 2, finishReason: 'stop' });
    expect(pieces).to.deep.equal([' c.', ' c.']);
  });

  it('ends before a stop, which is never told, not even in part', async () => {
    const pieces: string[] = [];
    const model = chain((last) => ({ xxbos: { a: 1 }, a: { b: 1 }, b: { '.': 1 }, '.': { c: 1 } })[last] ?? { a: 1 });
    const [found] = await generateText(model, { stop: ['b. c', 'zzz'], onText: (_, piece) => void pieces.push(piece) });
    expect(found).to.deep.equal({ text: 'a ', tokens: 4, finishReason: 'stop' });
    expect(pieces.join('')).to.equal('a ');
  });

  it('texts that have ended leave the batch', async () => {
    const model = chain(() => ({ a: 1, xxbos: 0.5 }));
    await generateText(model, { n: 16, maxTokens: 12 });
    expect(model.batches[0]).to.equal(1);
    expect(model.batches.slice(1)).to.deep.equal([...model.batches.slice(1)].sort((a, b) => b - a));
    expect(model.batches.at(-1)).to.be.below(16);
  });

  it('a mark of capitals is followed by a word, one of repetition by a number', async () => {
    const marks = chain((last) =>
      last === 'xxrep' ? { xxrep: 1, a: 1, '7': 0.01 } : { xxmaj: 1, xxrep: 1, a: 1, '.': 1 },
    );
    const [{ text } = { text: '' }] = await generateText(marks, { maxTokens: 300 });
    expect(text).to.match(/A/);
    expect(text).to.match(/a{7}|A{7}|\.{7}/);
  });

  it('stops when asked to', async () => {
    const stop = new AbortController();
    const [found] = await generateText(even, { maxTokens: 1000, signal: stop.signal, onText: () => stop.abort() });
    expect(found!.tokens).to.be.below(20);
  });

  it('refuses numbers out of range', async () => {
    for (const options of [
      { n: 0 },
      { maxTokens: 1.5 },
      { topP: 0 },
      { topK: -1 },
      { temperature: Number.NaN },
      { stop: [''] },
    ]) {
      const error = await generateText(even, options).catch((reason: unknown) => reason);
      expect(error, JSON.stringify(options)).to.have.property('code', 'bad-argument');
    }
  });
});

describe('beam search', () => {
  // The likeliest first word leads to a worse text.
  const model = chain(
    (last) => ({ xxbos: { a: 0.6, b: 0.4 }, a: { c: 0.3, '.': 0.3, a: 0.4 }, b: { c: 1 } })[last] ?? { xxbos: 1 },
  );

  it('finds a text that is likelier than the one of the likeliest words', async () => {
    const [best] = await beamSearch(model, { beams: 4 });
    expect(best!.text).to.equal('b c');
    expect(best!.logProbability).to.be.closeTo(Math.log(0.4), 1e-3);
    expect(best!.finished).to.equal(true);
    const [greedy] = await beamSearch(model, { beams: 1, maxTokens: 3 });
    expect(greedy!.text).to.equal('a a a');
  });
});
