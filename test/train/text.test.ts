import { expect } from 'chai';
import {
  convertWords,
  encoderWeights,
  exportLanguageModel,
  type LanguageModel,
  languageModelLearner,
  loadLanguageModel,
  openTextModel,
} from '../../training/apps/text.ts';
import { generateText } from '../../training/generate/generate.ts';
import { textPerplexity } from '../../training/generate/perplexity.ts';
import { logProbabilities } from '../../training/generate/sample.ts';
import { TextRows } from '../../training/generate/text-rows.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { readCorpus } from '../../training/text/corpus.node.ts';
import type { Corpus } from '../../training/text/corpus.ts';
import { numbersText } from '../../training/text/human-numbers.ts';
import { specialTokens } from '../../training/text/special.ts';
import { makeVocab, Vocab } from '../../training/text/vocab.ts';
import { textWindows } from '../../training/text/windows.ts';

const open = (graph: Uint8Array) => openSession(graph, { threads: 1 });
const small = { width: 24, hidden: 32, layers: 2, dropMult: 0.2 };

/** What a promise fails with. */
const refusalOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing',
    (error: Error) => error.message,
  );

/** "one, two, ..., <to>" as one text. */
const numbers = (from: number, to: number): Promise<Corpus> =>
  readCorpus([{ text: numbersText(from, to).slice(1).join(' '), begins: true }], { workers: 0 });

let made: { readonly train: Corpus; readonly valid: Corpus; readonly vocab: Vocab } | undefined;
async function texts() {
  made ??= await (async () => {
    const [train, valid] = [await numbers(1, 800), await numbers(801, 999)];
    return { train, valid, vocab: makeVocab(train.counts()) };
  })();
  return made;
}

async function learnerOf(config: object = {}, options: object = {}): Promise<LanguageModel> {
  const { train, valid, vocab } = await texts();
  const data = { vocab, train: train.numericalise(vocab), valid: valid.numericalise(vocab) };
  return languageModelLearner({ ...data, batchSize: 8, bptt: 12, config: { ...small, ...config }, open, ...options });
}

describe('languageModelLearner', function () {
  this.timeout(120_000);

  for (const cell of ['lstm', 'gru'] as const)
    it(`${cell}: learns to count: a perplexity of less than half of that of the frequencies alone`, async () => {
      const { valid, vocab, train } = await texts();
      const lm = await learnerOf({ cell });
      const rows = await lm.learner.fitOneCycle(6, 1e-2);
      const { perplexity, accuracy, valid_loss: loss } = rows.at(-1)!.metrics;
      expect(perplexity).to.be.closeTo(Math.exp(loss!), 1e-3 * perplexity!);
      expect(accuracy).to.be.within(0.2, 1);
      const frequencies = vocab.words.map((word) => (train.counts().get(word) ?? 0.5) / train.length);
      const ids = valid.numericalise(vocab);
      const entropy = ids.reduce((sum, id) => sum - Math.log(frequencies[id]!), 0) / ids.length;
      expect(perplexity).to.be.below(Math.exp(entropy) / 2);
      await lm.learner.close();
    });

  it('the states begin at zero whenever the model is measured, and are carried within', async () => {
    const lm = await learnerOf();
    const first = await lm.learner.validate();
    expect(lm.learner.state.tensors.get('state.0.hidden')!.data.some((value) => value !== 0)).to.equal(true);
    expect(await lm.learner.validate()).to.deep.equal(first);
    // In one window or in many, it is the same text.
    const { valid, vocab } = await texts();
    const whole = textWindows({ tokens: valid.numericalise(vocab), batchSize: 8, bptt: 60, ahead: true });
    lm.learner.state.tensors.forEach(({ data }, name) => void (name.startsWith('state.') && data.fill(0)));
    const other = await lm.learner.validate(whole);
    expect(other.perplexity).to.be.closeTo(first.perplexity!, 1e-3);
    await lm.learner.close();
  });

  it('the training loss has the penalties, the validation loss has not', async () => {
    const loss = async (options: object): Promise<readonly number[]> => {
      const lm = await learnerOf({ dropMult: 0 }, options);
      const [row] = await lm.learner.fit(1, 1e-9);
      await lm.learner.close();
      return [row!.trainLoss, row!.metrics.valid_loss!];
    };
    const [withBoth, without] = [await loss({ alpha: 1000, beta: 1000 }), await loss({ alpha: 0, beta: 0 })];
    expect(withBoth[0]! - without[0]!).to.be.above(0.01);
    expect(withBoth[1]).to.be.closeTo(without[1]!, 1e-5);
  });

  it('has a group for each recurrent layer, and one for embedding and decoder', async () => {
    const lm = await learnerOf();
    expect(lm.learner.groups).to.equal(3);
    await lm.learner.freeze();
    const trained = [...lm.learner.weights.keys()].filter((name) => lm.learner.isTrained(name) && !/^state/.test(name));
    expect(trained).to.have.members(['encoder.weight', 'decoder.bias']);
    await lm.learner.close();
  });

  for (const cell of ['lstm', 'gru'] as const)
    it(`${cell}: the exported model gives the same probabilities, word by word and all at once`, async () => {
      const { valid, vocab } = await texts();
      const lm = await learnerOf({ cell });
      await lm.learner.fit(1, 3e-3);
      const tokens = valid.numericalise(vocab).slice(0, 8 * 13);
      const loader = textWindows({ tokens, batchSize: 8, bptt: 12, ahead: true });
      lm.learner.state.tensors.forEach(({ data }, name) => void (name.startsWith('state.') && data.fill(0)));
      const { predictions } = await lm.learner.getPreds(loader);
      const model = await openTextModel(exportLanguageModel(lm.learner.weights, lm.config, vocab), open);
      expect(model.vocab.words).to.deep.equal(vocab.words);
      const column = (t: number) => Int32Array.from({ length: 8 }, (_, row) => tokens[row * 13 + t]!);
      const rows = new TextRows(model);
      for (let row = 0; row < 8; row++) rows.add();
      for (let t = 0; t < 12; t++) {
        const temperature = 1 + t / 10;
        await rows.read(column(t), new Float32Array(8).fill(temperature));
        for (let row = 0; row < 8; row++) {
          const { scores, probabilities } = rows.result(row);
          const logP = logProbabilities(scores);
          expect(logP[column(t + 1)[row]!]).to.be.closeTo(predictions.data[(row * 12 + t) * 2]!, 1e-4);
          const cooled = logProbabilities(scores.map((score) => score / temperature));
          for (const [id, probability] of probabilities!.entries())
            expect(probability).to.be.closeTo(Math.exp(cooled[id]!), 1e-6);
        }
      }
      // A window is the same as its words one by one.
      const whole = new TextRows(model);
      for (let row = 0; row < 8; row++) whole.add();
      await whole.read(Int32Array.from({ length: 96 }, (_, i) => tokens[Math.floor(i / 12) * 13 + (i % 12)]!));
      for (const [i, state] of whole.state(5).entries())
        for (const [j, x] of state.entries()) expect(x).to.be.closeTo(rows.state(5)[i]![j]!, 1e-5);
      await model.session.release();
      await lm.learner.close();
    });

  it('measures an exported model as the learner does', async () => {
    const { valid, vocab } = await texts();
    const lm = await learnerOf();
    await lm.learner.fit(1, 3e-3);
    const { perplexity } = await lm.learner.validate();
    const model = await openTextModel(exportLanguageModel(lm.learner.weights, lm.config, vocab), open);
    const measured = await textPerplexity(model, valid.numericalise(vocab), { batchSize: 8 });
    expect(measured).to.be.closeTo(perplexity!, 1e-3 * perplexity!);
    const short = textPerplexity(model, Int32Array.of(1, 2, 3), { batchSize: 2 });
    expect(await refusalOf(short)).to.match(/at least 4 words for 2 rows/);
    await Promise.all([model.session.release(), lm.learner.close()]);
  });

  it('backwards it learns as from texts that are turned round, and is not for writing', async () => {
    const { train, valid, vocab } = await texts();
    const [ids, held] = [train.numericalise(vocab), valid.numericalise(vocab)];
    const [forth, back] = await Promise.all([
      learnerOf({}, { train: ids.toReversed(), valid: held.toReversed() }),
      learnerOf({ backwards: true }),
    ]);
    const [turned] = await forth.learner.fit(1, 3e-3);
    const [read] = await back.learner.fit(1, 3e-3);
    expect(read!.metrics).to.deep.equal(turned!.metrics);
    const file = exportLanguageModel(back.learner.weights, back.config, vocab);
    expect(await refusalOf(openTextModel(file, open))).to.match(/got one that reads backwards/);
    await Promise.all([forth.learner.close(), back.learner.close()]);
  });

  it('writes the same text again, alone or beside others', async () => {
    const { vocab } = await texts();
    const lm = await learnerOf();
    await lm.learner.fit(1, 5e-3);
    const model = await openTextModel(exportLanguageModel(lm.learner.weights, lm.config, vocab), open);
    const options = { prompt: 'one hundred two,', maxTokens: 25, temperature: 0.7, topK: 5, seed: 3 };
    const [alone] = await generateText(model, options);
    const [beside] = await generateText(model, { ...options, n: 3 });
    expect(beside).to.deep.equal(alone);
    expect(alone!.text).to.match(/^ [a-z]+( [a-z]+|,)+/);
    await model.session.release();
    await lm.learner.close();
  });
});

describe('another vocabulary', function () {
  this.timeout(60_000);

  it('rows go with their words; a new word gets the mean', () => {
    const from = new Vocab([...specialTokens, 'a', 'b']);
    const to = new Vocab([...specialTokens, 'b', 'new']);
    const rows = Float32Array.from({ length: 22 }, (_, i) => i);
    const weights = new Map([
      ['encoder.weight', rows],
      ['decoder.bias', Float32Array.from({ length: 11 }, (_, i) => i)],
      ['rnns.0.bias_hh_l0', Float32Array.of(1, 2)],
    ]);
    const converted = convertWords(weights, from, to);
    expect([...converted.get('encoder.weight')!.slice(18)]).to.deep.equal([20, 21, 10, 11]);
    expect([...converted.get('decoder.bias')!.slice(8)]).to.deep.equal([8, 10, 5]);
    expect(converted.get('rnns.0.bias_hh_l0')).to.equal(weights.get('rnns.0.bias_hh_l0'));
    expect(() => convertWords(new Map([['encoder.weight', rows.slice(1)]]), from, to)).to.throw(
      /belongs to another model/,
    );
  });

  it('a model with its words in another order is the same model', async () => {
    const { train, valid, vocab } = await texts();
    const lm = await learnerOf();
    await lm.learner.fit(1, 5e-3);
    const shuffled = new Vocab([...specialTokens, ...vocab.words.slice(specialTokens.length).reverse()]);
    const other = await languageModelLearner({
      vocab: shuffled,
      train: train.numericalise(shuffled),
      valid: valid.numericalise(shuffled),
      batchSize: 8,
      bptt: 12,
      config: small,
      open,
    });
    const [before, wanted] = [await other.learner.validate(), await lm.learner.validate()];
    loadLanguageModel(other, lm.learner.weights, vocab);
    const after = await other.learner.validate();
    expect(after.perplexity).to.be.closeTo(wanted.perplexity!, 1e-3);
    expect(before.perplexity).to.be.above(1.1 * wanted.perplexity!);
    // An encoder alone leaves the decoder's own bias.
    const bias = other.learner.weights.get('decoder.bias')!.slice();
    loadLanguageModel(other, encoderWeights(lm), vocab);
    expect(other.learner.weights.get('decoder.bias')).to.deep.equal(bias);
    await Promise.all([lm.learner.close(), other.learner.close()]);
  });
});
