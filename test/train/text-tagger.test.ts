import { expect } from 'chai';
import { encoderWeights, languageModelLearner } from '../../training/apps/text.ts';
import { textIds, unfreezeGradually } from '../../training/apps/text-classifier.ts';
import { textTaggerLearner } from '../../training/apps/text-tagger.ts';
import { createRng } from '../../training/core/rng.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { frequentTags } from '../../training/text/baselines.ts';
import { noLabel, type TaggedText } from '../../training/text/labelled.ts';
import { specialTokens } from '../../training/text/special.ts';
import { Vocab } from '../../training/text/vocab.ts';

const open = (graph: Uint8Array) => openSession(graph, { threads: 1 });
const nouns = ['dog', 'man', 'cat'];
const vocab = new Vocab([...specialTokens, 'the', 'bites', 'sees', '.', ...nouns]);

/** Who does it, and whom it is done to: the words are the same, their places are not. Other words have no label. */
function stories(count: number, seed: number): { readonly tokens: string[]; readonly tagged: TaggedText }[] {
  const rng = createRng(seed);
  const pick = (words: readonly string[]): string => words[rng.int(0, words.length - 1)]!;
  return Array.from({ length: count }, () => {
    const sentences = rng.int(1, 4);
    const tokens = Array.from({ length: sentences }, () => [
      ...['the', pick(nouns), pick(['bites', 'sees'])],
      ...['the', pick(nouns), '.'],
    ]).flat();
    const label = (token: string, i: number): number => (nouns.includes(token) ? Number(i % 6 === 4) : noLabel);
    return {
      tokens,
      tagged: { ids: textIds(vocab, tokens), labels: Int32Array.from([noLabel, ...tokens.map(label)]) },
    };
  });
}

describe('textTaggerLearner', function () {
  this.timeout(120_000);
  const [train, valid] = [stories(320, 1), stories(80, 2)];
  const options = {
    vocab,
    labels: ['doer', 'done to'],
    train: train.map(({ tagged }) => tagged),
    valid: valid.map(({ tagged }) => tagged),
    config: { dropMult: 0.1 },
    batchSize: 16,
    lengths: [8, 16],
    open,
  };

  it('tells what a word is by its place, on a language model and thawing layer by layer', async () => {
    const lm = await languageModelLearner({
      vocab,
      train: Int32Array.from(train.flatMap(({ tagged }) => [...tagged.ids])),
      batchSize: 16,
      bptt: 12,
      config: { width: 16, hidden: 24, layers: 2, dropMult: 0.1 },
      open,
    });
    await lm.learner.fitOneCycle(6, 2e-2);
    const encoder = { weights: encoderWeights(lm), vocab, config: lm.config };
    const tagger = await textTaggerLearner({ ...options, encoder });
    const rows = await unfreezeGradually(tagger.learner, { epochs: 3, lr: 4e-2 });
    const usual = frequentTags(options.train, 2);
    const [right, all] = valid.reduce(
      ([hits, count], { tagged: { ids, labels } }) => {
        const told = [...labels.keys()].filter((i) => labels[i] !== noLabel);
        return [hits + told.filter((i) => usual(ids[i]!) === labels[i]).length, count + told.length];
      },
      [0, 0],
    );
    expect(right / all).to.be.below(0.65);
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.95);
    expect(rows.at(-1)!.metrics.f1).to.be.above(0.95);
    // Longer than the longest of the lengths: three pieces.
    const tokens = Array.from({ length: 6 }, () => ['the', 'dog', 'sees', 'the', 'cat', '.']).flat();
    const tags = await tagger.tag(tokens);
    expect(tags.map(({ token }) => token)).to.deep.equal(tokens);
    expect([tags[1]!.label, tags[4]!.label]).to.deep.equal(['doer', 'done to']);
    expect(tags[4]!.probability).to.be.within(0.5, 1);
    await Promise.all([tagger.learner.close(), lm.learner.close()]);
  });

  it('with an encoder that reads backwards tells it by what follows', async () => {
    const tagger = await textTaggerLearner({
      ...options,
      config: { ...options.config, width: 16, hidden: 24, layers: 1, backwards: true },
    });
    // Before the last word of all there is a mark only if it is done to.
    const rows = await tagger.learner.fitOneCycle(3, 2e-2);
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.95);
    const tags = await tagger.tag('the man sees the dog .');
    expect(tags.map(({ token }) => token)).to.deep.equal(['the', 'man', 'sees', 'the', 'dog', '.']);
    expect([tags[1]!.label, tags[4]!.label]).to.deep.equal(['doer', 'done to']);
    await tagger.learner.close();
  });
});
