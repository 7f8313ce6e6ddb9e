import { type TextClassifierConfig, textClassifier } from '../../models/text-classifier.ts';
import { slice } from '../learner/groups.ts';
import { createLearner, type Learner } from '../learner/learner.ts';
import { accuracy } from '../learner/metrics.ts';
import type { FitCallOptions } from '../learner/options.ts';
import type { EpochRow } from '../loop/recorder.ts';
import { crossEntropyLoss } from '../nn/losses.ts';
import { type LabelledText, labelledTexts, paddedText } from '../text/labelled.ts';
import { tokenise } from '../text/tokenise.ts';
import { beginId, type Vocab } from '../text/vocab.ts';
import { type EncoderTaskOptions, encoderBody, encoderTask, inReadingOrder, loadEncoder } from './text-encoder.ts';

export interface TextClassifierOptions extends EncoderTaskOptions {
  /** Names of the classes by id. */
  readonly classes: readonly string[];
  readonly train: readonly LabelledText[];
  readonly valid?: readonly LabelledText[];
}

export interface TextClassifier {
  readonly learner: Learner;
  readonly config: TextClassifierConfig;
  /** Probabilities of the classes. */
  predict(text: string): Promise<Readonly<Record<string, number>>>;
}

/** A text, or its tokens, as word ids: xxbos and its tokens. */
export const textIds = (vocab: Vocab, text: string | readonly string[]): Int32Array =>
  Int32Array.from([beginId, ...vocab.numericalise(typeof text === 'string' ? tokenise(text) : text)]);

/** textClassifierLearner: classes of texts by a language model's encoder, concat pooling and a small head. Train it with {@link unfreezeGradually}. */
export async function textClassifierLearner(options: TextClassifierOptions): Promise<TextClassifier> {
  const { vocab, classes, train, valid, batchSize = 64, lengths, seed = 1 } = options;
  const body = encoderBody(options);
  const config: TextClassifierConfig = {
    encoder: body,
    classes: classes.length,
    headWidth: 50,
    headDrops: [body.outputDrop * body.dropMult, 0.1],
  };
  const batches = { batchSize, seed, ...(lengths && { lengths }) };
  const read = (texts: readonly LabelledText[]) =>
    texts.map((text) => ({ ...text, ids: inReadingOrder(body, text.ids) }));
  const learner = await createLearner({
    ...encoderTask(options, body),
    name: 'text_classifier',
    model: (scope, words) => textClassifier(scope, words, config),
    loss: crossEntropyLoss,
    data: {
      train: labelledTexts({ ...batches, texts: read(train), shuffle: true }),
      ...(valid && { valid: labelledTexts({ ...batches, texts: read(valid) }) }),
      vocab: classes,
    },
    metrics: [accuracy()],
  });
  loadEncoder(learner, options);
  const predict = async (text: string): Promise<Record<string, number>> => {
    const item = paddedText(inReadingOrder(body, textIds(vocab, text)), lengths);
    const { data } = await learner.predict(item);
    return Object.fromEntries(classes.map((name, i) => [name, data[i]!]));
  };
  return { learner, config, predict };
}

/**
 * ULMFiT's recipe (Howard & Ruder 2018): the head alone; with the last recurrent layer; with the last two; then everything for `epochs`. The
 * rates fall by 2.6 from group to group, and from phase to phase.
 */
export async function unfreezeGradually(
  learner: Learner,
  {
    epochs = 2,
    lr = 2e-2,
    store,
    ...options
  }: FitCallOptions & { readonly epochs?: number; readonly lr?: number } = {},
): Promise<readonly EpochRow[]> {
  const lowest = 2.6 ** (learner.groups - 1);
  const rows: EpochRow[] = [];
  const phases = Math.min(3, learner.groups - 1);
  for (let phase = 0; phase <= phases; phase++) {
    const last = phase === phases;
    await learner.freezeTo(last ? 0 : -1 - phase);
    const top = lr / 2 ** phase;
    const rate = phase === 0 ? top : slice(top / lowest, top);
    const kept = store ? { store: store.part(`phase-${phase}`) } : {};
    rows.push(...(await learner.fitOneCycle(last ? epochs : 1, rate, { ...options, ...kept })));
  }
  return rows;
}
