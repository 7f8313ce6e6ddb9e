import { expect } from 'chai';
import { concatPool } from '../../models/text-classifier.ts';
import { encoderWeights, languageModelLearner } from '../../training/apps/text.ts';
import { textClassifierLearner, textIds, unfreezeGradually } from '../../training/apps/text-classifier.ts';
import { createRng } from '../../training/core/rng.ts';
import { i32 } from '../../training/core/tensor.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { readCorpus } from '../../training/text/corpus.node.ts';
import { type LabelledText, labelledTexts } from '../../training/text/labelled.ts';
import { makeVocab, type Vocab } from '../../training/text/vocab.ts';

const open = (graph: Uint8Array) => openSession(graph, { threads: 1 });

/** Who bites whom: the same words in both classes, so that a bag of them carries no information. */
function stories(count: number, seed: number): { readonly text: string; readonly label: number }[] {
  const rng = createRng(seed);
  const pick = (words: readonly string[]): string => words[rng.int(0, words.length - 1)]!;
  const filler = (): string =>
    Array.from({ length: rng.int(0, 4) }, () => pick(['so', 'then', 'today', 'maybe'])).join(' ');
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2;
    const [one, other] = label === 0 ? ['dog', 'man'] : ['man', 'dog'];
    return { text: `${filler()} the ${one} bites the ${other} ${filler()} .`, label };
  });
}

const labelled = (vocab: Vocab, count: number, seed: number): LabelledText[] =>
  stories(count, seed).map(({ text, label }) => ({ ids: textIds(vocab, text), label }));

describe('labelled texts', () => {
  const texts = Array.from({ length: 23 }, (_, i) => ({ ids: new Int32Array(1 + i).fill(20 + i), label: i }));
  const collect = async (options: object, epoch = 0) => {
    const loader = labelledTexts({ texts, batchSize: 4, lengths: [8, 16], ...options });
    const batches = [];
    for await (const batch of loader.epoch(epoch)) batches.push(batch);
    expect(batches).to.have.length(loader.batchesPerEpoch);
    return batches;
  };

  it('come once each, padded behind, of those that are too long the end', async () => {
    const batches = await collect({});
    expect(batches.flatMap(({ y }) => [...y.data]).sort((a, b) => a - b)).to.deep.equal(
      texts.map(({ label }) => label),
    );
    expect(batches.map(({ x }) => x.dims)).to.deep.equal([
      [4, 8],
      [4, 8],
      [4, 16],
      [4, 16],
      [4, 16],
      [3, 16],
    ]);
    expect([...batches[0]!.x.data.subarray(8, 16)]).to.deep.equal([21, 21, 1, 1, 1, 1, 1, 1]);
  });

  it('shuffled they are full batches, others in every epoch', async () => {
    const [first, second] = [await collect({ shuffle: true }, 0), await collect({ shuffle: true }, 1)];
    expect(first.every(({ x }) => x.dims[0] === 4)).to.equal(true);
    expect(first.map(({ y }) => [...y.data])).to.not.deep.equal(second.map(({ y }) => [...y.data]));
    expect(await collect({ shuffle: true }, 1)).to.deep.equal(second);
  });
});

describe('textClassifierLearner', function () {
  this.timeout(120_000);

  it('concat pooling takes the last word, the largest and the mean, and leaves padding out', async () => {
    const graph = new Graph('pool');
    const raw = graph.input('raw', 'float32', [2, 3, 1]);
    graph.output('pooled', concatPool(raw, graph.input('words', 'int32', [2, 3]), 1));
    const session = await open(toOnnx(graph));
    const states = { dtype: 'float32' as const, dims: [2, 3, 1], data: Float32Array.of(-3, -1, 9, 4, 2, 3) };
    const { pooled } = await session.run({ raw: states, words: i32([2, 3], [5, 6, 1, 7, 8, 9]) });
    expect([...(pooled!.data as Float32Array)]).to.deep.equal([-1, -1, -2, 3, 4, 3]);
    await session.release();
  });

  it('learns what a bag of words cannot, from an encoder and thawing layer by layer', async () => {
    const plain = stories(600, 3).map(({ text }) => ({ text, begins: true }));
    const corpus = await readCorpus(plain, { workers: 0 });
    const vocab = makeVocab(corpus.counts());
    const sizes = { width: 24, hidden: 32, layers: 2 };
    const lm = await languageModelLearner({
      vocab,
      train: corpus.numericalise(vocab),
      batchSize: 16,
      bptt: 16,
      config: { ...sizes, dropMult: 0.1 },
      open,
    });
    await lm.learner.fitOneCycle(2, 1e-2);
    const encoder = { weights: encoderWeights(lm), vocab, config: lm.config };
    const classifier = await textClassifierLearner({
      vocab,
      classes: ['dog', 'man'],
      train: labelled(vocab, 320, 1),
      valid: labelled(vocab, 100, 2),
      encoder,
      config: { dropMult: 0.1 },
      batchSize: 16,
      lengths: [16, 24],
      open,
    });
    const { learner } = classifier;
    expect(learner.groups).to.equal(4);
    expect(learner.weights.get('rnns.1.weight_hh_l0')).to.deep.equal(encoder.weights.get('rnns.1.weight_hh_l0'));
    const rows = await unfreezeGradually(learner, { epochs: 4, lr: 2e-2 });
    expect(rows).to.have.length(7);
    // A bag of words is right half of the time.
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.9);
    const answer = await classifier.predict('so the man bites the dog .');
    expect(answer.man! + answer.dog!).to.be.closeTo(1, 1e-5);
    expect(answer.man).to.be.above(0.5);
    await Promise.all([learner.close(), lm.learner.close()]);
  });
});
