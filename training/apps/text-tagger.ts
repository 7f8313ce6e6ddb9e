import { type TextTaggerConfig, textTagger } from '../../models/text-tagger.ts';
import { createLearner, type Learner } from '../learner/learner.ts';
import { accuracy, fScore } from '../learner/metrics.ts';
import { crossEntropyLoss } from '../nn/losses.ts';
import * as o from '../ops/build.ts';
import { inPieces, noLabel, paddedText, type TaggedText, taggedTexts, usualLengths } from '../text/labelled.ts';
import { tokenise } from '../text/tokenise.ts';
import { textIds } from './text-classifier.ts';
import { type EncoderTaskOptions, encoderBody, encoderTask, inReadingOrder, loadEncoder } from './text-encoder.ts';

export interface TextTaggerOptions extends EncoderTaskOptions {
  /** Names of the labels by id. */
  readonly labels: readonly string[];
  /** Longer ones than the longest of `lengths` are read in pieces. */
  readonly train: readonly TaggedText[];
  readonly valid?: readonly TaggedText[];
}

/** A word of a text and its predicted label. */
export interface WordTag {
  readonly token: string;
  readonly label: string;
  /** 0..1. */
  readonly probability: number;
}

export interface TextTagger {
  readonly learner: Learner;
  readonly config: TextTaggerConfig;
  /** The most likely label of each token of the text. */
  tag(text: string | readonly string[]): Promise<readonly WordTag[]>;
}

/** The most likely label of each of the first `count` words: p f32[K,T]. */
function bestOf(p: Float32Array, names: readonly string[], length: number, count: number) {
  return Array.from({ length: count }, (_, t) => {
    let best = 0;
    for (let k = 1; k < names.length; k++) if (p[k * length + t]! > p[best * length + t]!) best = k;
    return { label: names[best]!, probability: p[best * length + t]! };
  });
}

const labelled = (labels: { readonly data: ArrayLike<number | bigint> }): number =>
  Array.from(labels.data).reduce<number>((count, label) => count + (Number(label) === noLabel ? 0 : 1), 0);

/**
 * textTaggerLearner: sequence labelling, a label for every word, by a language model's encoder and a linear layer. A word's label is predicted from the
 * words up to it (with a `backwards` encoder by those from it on). Train it with `unfreezeGradually`. Its metrics are the share of words that are
 * right and the mean of the labels' F-scores, over words that have a label.
 */
export async function textTaggerLearner(options: TextTaggerOptions): Promise<TextTagger> {
  const { vocab, labels, train, valid, batchSize = 32, lengths = usualLengths, seed = 1 } = options;
  const encoder = encoderBody(options);
  const config: TextTaggerConfig = { encoder, labels: labels.length };
  const longest = Math.max(...lengths);
  const loader = (texts: readonly TaggedText[], shuffle: boolean) => {
    const read = inPieces(texts, longest).map((text) => ({
      ids: inReadingOrder(encoder, text.ids),
      labels: inReadingOrder(encoder, text.labels),
    }));
    return taggedTexts({ texts: read, batchSize, lengths, shuffle, seed });
  };
  const learner = await createLearner({
    ...encoderTask(options, encoder),
    name: 'text_tagger',
    model: (scope, words) => textTagger(scope, words, config),
    loss: (scores, target) => crossEntropyLoss(scores, target, { ignoreIndex: noLabel }),
    activation: (scores) => o.softmax(scores, 1),
    countTargets: labelled,
    data: { train: loader(train, true), ...(valid && { valid: loader(valid, false) }) },
    metrics: [accuracy({ ignore: noLabel }), fScore({ ignore: noLabel, average: 'macro' })],
  });
  loadEncoder(learner, options);
  const tagPiece = async (ids: Int32Array) => {
    const item = paddedText(inReadingOrder(encoder, ids), lengths);
    const { data } = await learner.predict(item);
    const found = bestOf(data as Float32Array, labels, item.data.length, ids.length);
    return encoder.backwards ? found.reverse() : found;
  };
  return {
    learner,
    config,
    async tag(text) {
      const tokens = typeof text === 'string' ? tokenise(text) : text;
      const ids = textIds(vocab, tokens);
      const found: Omit<WordTag, 'token'>[] = [];
      for (const piece of inPieces([{ ids, labels: ids }], longest)) found.push(...(await tagPiece(piece.ids)));
      // The first is xxbos.
      return tokens.map((token, i) => ({ token, ...found[i + 1]! }));
    },
  };
}
