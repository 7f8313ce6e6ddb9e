import { type AwdLstmConfig, awdLstmDefaults } from '../../models/awd-lstm.ts';
import type { ParamSplitter } from '../learner/groups.ts';
import type { Learner } from '../learner/learner.ts';
import type { LearnerOptions } from '../learner/options.ts';
import type { Weights } from '../nn/scope.ts';
import { paddingId, type Vocab } from '../text/vocab.ts';
import { convertWords } from './text.ts';

/* What the tasks on a language model's encoder share. */

export interface EncoderTaskOptions
  extends Pick<LearnerOptions, 'open' | 'callbacks' | 'seed' | 'lr' | 'wd' | 'loops'> {
  readonly vocab: Vocab;
  /** A language model's encoder (`encoderWeights`), its vocabulary and its sizes; from the start by default. */
  readonly encoder?: { readonly weights: Weights; readonly vocab: Vocab; readonly config: AwdLstmConfig };
  /** Sizes and dropouts, over the encoder's sizes and fastai's dropouts. */
  readonly config?: Partial<Omit<AwdLstmConfig, 'words' | 'paddingIndex'>>;
  /** 64 by default. */
  readonly batchSize?: number;
  /** See `labelledTexts`. */
  readonly lengths?: readonly number[];
}

/** fastai's dropouts of a classifier, which is trained on less than a language model. */
const taskDrops = {
  outputDrop: 0.4,
  hiddenDrop: 0.3,
  inputDrop: 0.4,
  embedDrop: 0.05,
  weightDrop: 0.5,
  dropMult: 0.5,
};

/** The encoder's sizes and the way it reads, with dropouts of such a task. */
export const encoderBody = ({ vocab, encoder, config }: EncoderTaskOptions): AwdLstmConfig => ({
  ...awdLstmDefaults,
  ...encoder?.config,
  ...taskDrops,
  ...config,
  words: vocab.size,
  paddingIndex: paddingId,
});

/** Group 0: the embedding; then one for each recurrent layer; the last: the head. */
const groupsOf =
  (layers: number): ParamSplitter =>
  (name) => {
    if (name.startsWith('encoder.')) return 0;
    const layer = /^rnns\.(\d+)\./.exec(name)?.[1];
    return layer === undefined ? layers + 1 : Number(layer) + 1;
  };

/** What the learners of such tasks have in common. */
export function encoderTask(options: EncoderTaskOptions, { layers }: AwdLstmConfig) {
  const { open, seed = 1, lr = 2e-2, wd = 0.1, callbacks, loops } = options;
  return {
    open,
    splitter: groupsOf(layers),
    moms: [0.8, 0.7, 0.8],
    hyper: { beta2: 0.99 },
    lr,
    wd,
    seed,
    ...(callbacks && { callbacks }),
    ...(loops && { loops }),
  } satisfies Partial<LearnerOptions>;
}

/** Gives the learner the encoder's weights, where there are any. */
export function loadEncoder(learner: Learner, { encoder, vocab }: EncoderTaskOptions): void {
  if (encoder) learner.load(new Map([...learner.weights, ...convertWords(encoder.weights, encoder.vocab, vocab)]));
}

/** Numbers of a text's words in the order in which the net reads them. */
export const inReadingOrder = ({ backwards = false }: AwdLstmConfig, numbers: Int32Array): Int32Array =>
  backwards ? numbers.toReversed() : numbers;
