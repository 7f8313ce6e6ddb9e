import { type AwdLstmConfig, awdLstmDefaults, awdLstmStates, layerStates, namedStates } from '../../models/awd-lstm.ts';
import { languageModelWindow, nextWord, type PenaltyOptions, probabilitiesAt } from '../../models/language-model.ts';
import { ensure } from '../core/errors.ts';
import { symDim } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';
import { textMetadata, textModel, textModelParts } from '../generate/text-model.ts';
import type { OpenTextModel } from '../generate/text-rows.ts';
import type { ParamSplitter } from '../learner/groups.ts';
import { createLearner, type Learner } from '../learner/learner.ts';
import { type Metric, meanMetric } from '../learner/metrics.ts';
import type { LearnerOptions } from '../learner/options.ts';
import type { OpenGraph } from '../loop/compile.ts';
import type { Callback } from '../loop/fit-loop.ts';
import type { Weights } from '../nn/scope.ts';
import { toOnnx } from '../onnx/export.ts';
import type { Value } from '../onnx/graph.ts';
import { readMetadata } from '../onnx/metadata.ts';
import type { Session } from '../run/session.ts';
import { buildInference } from '../step/train-step.ts';
import { paddingId, type Vocab } from '../text/vocab.ts';
import { textWindows } from '../text/windows.ts';

export interface LanguageModelOptions
  extends PenaltyOptions,
    Pick<LearnerOptions, 'open' | 'callbacks' | 'seed' | 'lr' | 'wd' | 'optimizer' | 'loops'> {
  readonly vocab: Vocab;
  /** Word ids of the texts to learn from, and of those to be measured on; see `Corpus.numericalise`. */
  readonly train: Int32Array;
  readonly valid?: Int32Array;
  /** 64 by default. */
  readonly batchSize?: number;
  /** Words per step; 72 by default. */
  readonly bptt?: number;
  /** See `textWindows`. */
  readonly jitter?: boolean;
  /** Sizes and dropouts, over fastai's. */
  readonly config?: Partial<Omit<AwdLstmConfig, 'words' | 'paddingIndex'>>;
}

/** A language model in training: what its learner does not know is beside it. */
export interface LanguageModel {
  readonly learner: Learner;
  readonly vocab: Vocab;
  readonly config: AwdLstmConfig;
}

/** Sets the states of the texts read so far to zero. */
function forget(learner: Learner, config: AwdLstmConfig): void {
  for (const { name } of awdLstmStates(config)) learner.state.tensors.get(name)!.data.fill(0);
}

/** Every epoch begins without a memory; one that is continued in the middle keeps it. */
const forgetful = (config: AwdLstmConfig): Callback => ({
  name: 'resetStates',
  numbers: ['buffers'],
  beforeEpoch: ({ state, progress }) => {
    if (progress.batch > 0) return;
    for (const { name } of awdLstmStates(config)) state.tensors.get(name)!.data.fill(0);
  },
});

/** Group i: the i-th recurrent layer; the last: embedding and decoder. */
const lmGroups =
  (layers: number): ParamSplitter =>
  (name) =>
    Number(/^rnns\.(\d+)\./.exec(name)?.[1] ?? layers);

/** Column `column` of predictions f32[N,T,2], summed. */
function columnSum({ data }: Tensor<'float32'>, column: 0 | 1): { sum: number; count: number } {
  let sum = 0;
  for (let i = column; i < data.length; i += 2) sum += data[i]!;
  return { sum, count: data.length / 2 };
}

/** exp of the mean of -log p(next word). */
const wordPerplexity: Metric = meanMetric(
  'perplexity',
  (p) => columnSum(p, 0),
  (mean) => Math.exp(-mean),
);
/** Share of words that had the highest score. */
const wordAccuracy: Metric = meanMetric('accuracy', (p) => columnSum(p, 1));

/**
 * languageModelLearner: a learner that predicts the next word of texts, with fastai's settings: AWD-LSTM (or GRUs: `config.cell`), AR and
 * TAR in the training loss, momentum 0.8, 0.7, 0.8, rates `slice` over the layers. Its validation reports perplexity and accuracy.
 */
export async function languageModelLearner(options: LanguageModelOptions): Promise<LanguageModel> {
  const { vocab, train, valid, batchSize = 64, bptt = 72, jitter = false, alpha, beta, callbacks = [] } = options;
  const { open, optimizer, loops, lr = 2e-3, wd = 0.1, seed = 1 } = options;
  const config: AwdLstmConfig = {
    ...awdLstmDefaults,
    ...options.config,
    words: vocab.size,
    paddingIndex: paddingId,
  };
  const read = (ids: Int32Array): Int32Array => (config.backwards ? ids.toReversed() : ids);
  // The model computes its loss itself: it sees the words that follow, and its penalties look inside.
  const losses = new WeakMap<Value, Value>();
  const penalty = { ...(alpha === undefined ? {} : { alpha }), ...(beta === undefined ? {} : { beta }) };
  const windows = { batchSize, bptt, seed, ahead: true };
  let made: Learner | undefined;
  const learner = await createLearner({
    name: 'language_model',
    model: (scope, x) => {
      const { loss, prediction } = languageModelWindow(scope, x, config, penalty);
      losses.set(prediction, loss);
      return prediction;
    },
    loss: (prediction) => losses.get(prediction)!,
    data: {
      train: textWindows({ ...windows, tokens: read(train), jitter, dropLast: true }),
      ...(valid && { valid: textWindows({ ...windows, tokens: read(valid), onBegin: () => forget(made!, config) }) }),
    },
    open,
    splitter: lmGroups(config.layers),
    metrics: [wordPerplexity, wordAccuracy],
    callbacks: [forgetful(config), ...callbacks],
    moms: [0.8, 0.7, 0.8],
    hyper: { beta2: 0.99 },
    lr,
    wd,
    seed,
    ...(optimizer && { optimizer }),
    ...(loops && { loops }),
  });
  made = learner;
  return { learner, vocab, config };
}

const isEncoder = (name: string): boolean => /^(encoder|rnns\.\d+)\./.test(name);

/** The weights of the encoder: embedding and recurrent layers. */
export const encoderWeights = ({ learner }: Pick<LanguageModel, 'learner'>): Map<string, Float32Array> =>
  new Map([...learner.weights].filter(([name]) => isEncoder(name)).map(([name, data]) => [name, data.slice()]));

/**
 * Weights of a model with the words `from` for one with the words `to`: rows go with their words; a word that is new gets the mean of
 * all rows (fastai's `match_embeds`).
 */
export function convertWords(weights: Weights, from: Vocab, to: Vocab): Map<string, Float32Array> {
  const converted = new Map(weights);
  for (const name of ['encoder.weight', 'decoder.bias']) {
    const rows = weights.get(name);
    if (rows !== undefined) converted.set(name, convertRows(rows, from, to));
  }
  return converted;
}

function convertRows(rows: Float32Array, from: Vocab, to: Vocab): Float32Array {
  const width = rows.length / from.size;
  ensure(Number.isInteger(width), 'bad-checkpoint', () => {
    return `convertWords: expected a row for each of ${from.size} words, got ${rows.length} numbers; the vocabulary belongs to another model`;
  });
  const mean = new Float32Array(width);
  for (let i = 0; i < rows.length; i++) mean[i % width]! += rows[i]! / from.size;
  const made = new Float32Array(to.size * width);
  for (const [id, word] of to.words.entries()) {
    const old = from.has(word) ? from.id(word) : undefined;
    made.set(old === undefined ? mean : rows.subarray(old * width, (old + 1) * width), id * width);
  }
  return made;
}

/** Starts from weights with the words `from`: those that are given (an encoder's, or all) replace the learner's. States stay. */
export function loadLanguageModel({ learner, vocab }: LanguageModel, weights: Weights, from: Vocab): void {
  const given = [...convertWords(weights, from, vocab)].filter(([name]) => !name.startsWith('state.'));
  learner.load(new Map([...learner.weights, ...given]));
}

/** The facts of an exported language model, as the model's metadata `fettle.text`. */
export interface TextModelFacts {
  readonly config: AwdLstmConfig;
  readonly words: readonly string[];
}

/**
 * exportLanguageModel: the model for generation as ONNX bytes, vocabulary inside: `words` int32[N,T] and the states `state.0.hidden` [1,N,H] … of
 * what came before -> `scores` f32[N,V] of the next word and `next/state.0.hidden` … . Any N and T. For sampling, `temperature` f32[N,1] ->
 * `probabilities` f32[N,V].
 */
export function exportLanguageModel(weights: Weights, config: AwdLstmConfig, vocab: Vocab): Uint8Array {
  const n = symDim('N');
  const states = awdLstmStates(config).map(({ name, size }) => ({
    name,
    dtype: 'float32' as const,
    shape: [1, n, size],
  }));
  const inputs = [
    { name: 'words', dtype: 'int32' as const, shape: [n, symDim('T')] },
    { name: 'temperature', dtype: 'float32' as const, shape: [n, 1] },
    ...states,
  ];
  const graph = buildInference('language_model', inputs, weights, (scope, values) => {
    const first = layerStates(config, (name) => values[name]!);
    const next = nextWord(scope, values.words!, config, first);
    const named = namedStates(next.states).map(([name, value]) => [`next/${name}`, value] as const);
    const probabilities = probabilitiesAt(next.scores, values.temperature!);
    return { scores: next.scores, probabilities, ...Object.fromEntries(named) };
  });
  const facts: TextModelFacts = { config, words: vocab.words };
  return toOnnx(graph, { metadata: { [textMetadata.key]: JSON.stringify(facts) } });
}

/** What {@link exportLanguageModel} wrote into a model; throws `bad-model` when it is no language model of ours. */
export const textModelFacts = (model: Uint8Array): TextModelFacts =>
  readMetadata('textModelFacts', model, textMetadata);

/** Opens an exported language model for `generateText`. */
export async function openTextModel(
  model: Uint8Array,
  open: OpenGraph,
): Promise<OpenTextModel & { readonly session: Session }> {
  const parts = textModelParts(model);
  return textModel(parts, await open(model));
}
