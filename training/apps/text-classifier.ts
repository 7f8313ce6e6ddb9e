import { type AwdLstmConfig, awdLstmDefaults } from '../../models/awd-lstm.ts';
import { type TextClassifierConfig, textClassifier } from '../../models/text-classifier.ts';
import { type LabelledText, labelledTexts, paddedText } from '../data/text/labelled.ts';
import { tokenise } from '../data/text/tokenise.ts';
import { beginId, paddingId, type Vocab } from '../data/text/vocab.ts';
import { createLearner, type Learner } from '../learner/create-learner.ts';
import { type ParamSplitter, slice } from '../learner/groups.ts';
import { accuracy } from '../learner/metrics.ts';
import type { FitCallOptions, LearnerOptions } from '../learner/options.ts';
import type { EpochRow } from '../learner/recorder.ts';
import { crossEntropyLoss } from '../nn/losses.ts';
import type { Weights } from '../nn/scope.ts';
import { convertWords } from './text.ts';

/** fastai's dropouts of a classifier, which is trained on less than a language model. */
const classifierDrops = {
  outputDrop: 0.4,
  hiddenDrop: 0.3,
  inputDrop: 0.4,
  embedDrop: 0.05,
  weightDrop: 0.5,
  dropMult: 0.5,
};

export interface TextClassifierOptions extends Pick<LearnerOptions, 'open' | 'callbacks' | 'seed' | 'lr' | 'wd'> {
  readonly vocab: Vocab;
  /** Names of the classes by id. */
  readonly classes: readonly string[];
  readonly train: readonly LabelledText[];
  readonly valid?: readonly LabelledText[];
  /** A language model's encoder (`encoderWeights`), its vocabulary and its sizes; from the start when left out. */
  readonly encoder?: { readonly weights: Weights; readonly vocab: Vocab; readonly config: AwdLstmConfig };
  /** Sizes and dropouts, over the encoder's sizes and fastai's dropouts. */
  readonly config?: Partial<Omit<AwdLstmConfig, 'words' | 'paddingIndex'>>;
  /** 64 when left out. */
  readonly batchSize?: number;
  /** See `labelledTexts`. */
  readonly lengths?: readonly number[];
}

export interface TextClassifier {
  readonly learner: Learner;
  readonly config: TextClassifierConfig;
  /** Probabilities of the classes. */
  predict(text: string): Promise<Readonly<Record<string, number>>>;
}

/** A text to classify: xxbos and its tokens. */
export const textIds = (vocab: Vocab, text: string): Int32Array =>
  Int32Array.from([beginId, ...vocab.numericalise(tokenise(text))]);

/** Group 0: the embedding; then one for each recurrent layer; the last: the head. */
const classifierGroups =
  (layers: number): ParamSplitter =>
  (name) => {
    if (name.startsWith('encoder.')) return 0;
    const layer = /^rnns\.(\d+)\./.exec(name)?.[1];
    return layer === undefined ? layers + 1 : Number(layer) + 1;
  };

/** textClassifierLearner: classes of texts by a language model's encoder, concat pooling and a small head. Train it with {@link unfreezeGradually}. */
export async function textClassifierLearner(options: TextClassifierOptions): Promise<TextClassifier> {
  const {
    vocab,
    classes,
    train,
    valid,
    encoder,
    batchSize = 64,
    lengths,
    open,
    seed = 1,
    lr = 2e-2,
    wd = 0.1,
  } = options;
  const sizes = encoder && {
    width: encoder.config.width,
    hidden: encoder.config.hidden,
    layers: encoder.config.layers,
  };
  const cell = encoder?.config.cell;
  const body: AwdLstmConfig = {
    ...awdLstmDefaults,
    ...sizes,
    ...(cell && { cell }),
    ...classifierDrops,
    ...options.config,
    words: vocab.size,
    paddingIndex: paddingId,
  };
  const config: TextClassifierConfig = {
    encoder: body,
    classes: classes.length,
    headWidth: 50,
    headDrops: [body.outputDrop * body.dropMult, 0.1],
  };
  const batches = { batchSize, seed, ...(lengths && { lengths }) };
  const learner = await createLearner({
    name: 'text_classifier',
    model: (scope, words) => textClassifier(scope, words, config),
    loss: crossEntropyLoss,
    data: {
      train: labelledTexts({ ...batches, texts: train, shuffle: true }),
      ...(valid && { valid: labelledTexts({ ...batches, texts: valid }) }),
      vocab: classes,
    },
    open,
    splitter: classifierGroups(body.layers),
    metrics: [accuracy()],
    moms: [0.8, 0.7, 0.8],
    hyper: { beta2: 0.99 },
    lr,
    wd,
    seed,
    ...(options.callbacks && { callbacks: options.callbacks }),
  });
  if (encoder) learner.load(new Map([...learner.weights, ...convertWords(encoder.weights, encoder.vocab, vocab)]));
  const predict = async (text: string): Promise<Record<string, number>> => {
    const item = paddedText(textIds(vocab, text), lengths);
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
