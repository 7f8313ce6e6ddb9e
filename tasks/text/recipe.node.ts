import { join } from 'node:path';
import type { AwdLstmConfig } from '../../models/awd-lstm.ts';
import {
  exportLanguageModel,
  type LanguageModel,
  languageModelLearner,
  loadLanguageModel,
  openTextModel,
} from '../../training/apps/text.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import { generateText } from '../../training/generate/generate.ts';
import { gradientClip } from '../../training/learner/callbacks/gradients.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../training/loop/recorder.ts';
import type { LoopForm } from '../../training/nn/loop.ts';
import type { Weights } from '../../training/nn/scope.ts';
import { hashOfWeights, needFresh, readBest, trainRun } from '../../training/runs/run-parts.node.ts';
import { type Corpus, unknownShare } from '../../training/text/corpus.ts';
import { encodeVocab, makeVocab, type Vocab } from '../../training/text/vocab.ts';

/** Everything that decides the result of a run, besides the texts. */
export interface TextRunConfig {
  /** Sizes and dropouts over fastai's. */
  readonly model: Partial<Omit<AwdLstmConfig, 'words' | 'paddingIndex'>>;
  readonly maxVocab: number;
  readonly minFreq: number;
  readonly batchSize: number;
  readonly bptt: number;
  readonly jitter: boolean;
  readonly epochs: number;
  readonly lr: number;
  readonly wd: number;
  readonly pctStart: number;
  /** Largest norm of the gradients of an update. */
  readonly clip: number;
  readonly seed: number;
}

/** A body that two cores train in an evening: a fifth of the full AWD-LSTM. */
export const textRunDefaults: TextRunConfig = {
  model: { width: 256, hidden: 512, layers: 3, dropMult: 0.3 },
  maxVocab: 16_000,
  minFreq: 3,
  batchSize: 32,
  bptt: 70,
  jitter: true,
  epochs: 10,
  lr: 5e-3,
  wd: 0.01,
  pctStart: 0.25,
  clip: 0.25,
  seed: 1,
};

/** Fine-tuning on a few thousand posts. The model's sizes are those of the body. */
export const textRetrainDefaults: TextRunConfig = {
  ...textRunDefaults,
  model: { dropMult: 0.7 },
  minFreq: 2,
  batchSize: 16,
  bptt: 40,
  epochs: 6,
  lr: 6e-3,
};

/** A trained model that a run starts from. */
export interface TextStart {
  readonly weights: Weights;
  readonly config: AwdLstmConfig;
  readonly vocab: Vocab;
}

/** What a learner is made from. */
export interface TextLearnerOptions {
  readonly config: TextRunConfig;
  readonly data: { readonly train: Corpus; readonly valid: Corpus; readonly test?: Corpus };
  readonly open: OpenGraph;
  /** How loops over time are written: `scan` is the faster on a CPU, `unrolled` (the default) runs anywhere. */
  readonly loops?: LoopForm;
  readonly start?: TextStart;
  readonly onNote?: (text: string) => void;
}

export interface TextRunOptions extends TextLearnerOptions {
  /** The run's folder: checkpoints, log, samples, model.onnx. */
  readonly out: string;
  readonly resume: boolean;
  /** What the texts that are written after each epoch begin with. */
  readonly prompts?: readonly string[];
  readonly callbacks?: readonly Callback[];
  readonly signal?: AbortSignal;
}

export interface TextRunResult {
  readonly rows: readonly EpochRow[];
  /** Row and weights of the epoch with the lowest perplexity. */
  readonly best: EpochRow;
  readonly weights: Weights;
  readonly model: AwdLstmConfig;
  readonly vocab: Vocab;
  /** Bytes of model.onnx. */
  readonly exported: Uint8Array;
  /** Share of the held-out words that are xxunk. */
  readonly unknown: number;
  /** Perplexity on the held-out texts of the weights that the run started from. */
  readonly before?: number;
}

/** Writes a few texts after each epoch, with the weights as they are then. */
const sampleCallback = (lm: LanguageModel, { out, open, prompts = [''], onNote }: TextRunOptions): Callback => ({
  name: 'samples',
  order: 60,
  numbers: ['params'],
  afterValidate: async ({ row }) => {
    const { learner, config, vocab } = lm;
    const model = await openTextModel(exportLanguageModel(learner.weights, config, vocab), open);
    const texts: string[] = [];
    for (const prompt of prompts) {
      const written = await generateText(model, { prompt, n: 3, temperature: 0.8, topP: 0.95, maxTokens: 50 });
      texts.push(...written.map(({ text }) => prompt + text));
    }
    await model.session.release();
    const content = texts.map((text) => `${text.trim()}\n`).join('---\n');
    await writeDurably(join(out, `samples-${String(row!.epoch).padStart(3, '0')}.txt`), content);
    onNote?.(texts.map((text) => `  ${text.trim().replaceAll('\n', ' / ')}`).join('\n'));
  },
});

const sum = (ids: Int32Array): number => ids.reduce((hash, id) => (Math.imul(hash, 31) + id) | 0, 0);

/** openLearner: the learner of a run on its texts, with the weights that it starts from; `close` releases it. */
export async function openLearner({ config, data, open, loops, start, onNote }: TextLearnerOptions) {
  const vocab = makeVocab(data.train.counts(), config);
  const [tokens, valid] = [data.train.numericalise(vocab), data.valid.numericalise(vocab)];
  const unknown = unknownShare(valid);
  onNote?.(
    `${tokens.length} words to learn from, ${valid.length} held out, ${vocab.size} different ones; ${(100 * unknown).toFixed(2)} % of those held out are unknown`,
  );
  const { model, batchSize, bptt, jitter, lr, wd, seed } = config;
  const lm = await languageModelLearner({
    vocab,
    train: tokens,
    valid,
    batchSize,
    bptt,
    jitter,
    config: { ...start?.config, ...model },
    open,
    ...(loops && { loops }),
    callbacks: [gradientClip(config.clip)],
    lr,
    wd,
    seed,
  });
  if (start !== undefined) loadLanguageModel(lm, start.weights, start.vocab);
  return { lm, learner: lm.learner, tokens, valid, unknown, close: () => lm.learner.close() };
}

/** Trains a language model, from the start or from a trained one: the wiring of texts, net and files. Resumes exactly. */
export async function runText(options: TextRunOptions): Promise<TextRunResult> {
  const { config, out, start, onNote } = options;
  await needFresh('text', out, options.resume);
  const { lm, learner, tokens, valid, unknown, close } = await openLearner(options);
  const { vocab, config: model } = lm;
  try {
    const before = start === undefined ? undefined : (await learner.validate()).perplexity!;
    if (before !== undefined) onNote?.(`perplexity before: ${before.toFixed(2)}`);
    const { epochs, lr, pctStart } = config;
    const { rows, phase } = await trainRun('text', learner, options, {
      facts: {
        config,
        words: vocab.size,
        train: [tokens.length, sum(tokens)],
        valid: [valid.length, sum(valid)],
        startedFrom: hashOfWeights(start?.weights),
      },
      callbacks: model.backwards ? [] : [sampleCallback(lm, options)],
      epochs: start === undefined ? epochs : epochs + 1,
      lr,
      cycle: { pctStart, divFinal: 1e4 },
      // From a trained model first the decoder and embedding alone, then everything.
      ...(start === undefined ? {} : { tune: { baseLr: lr, freezeEpochs: 1, lrMult: 20 } }),
    });
    const found = await readBest(phase);
    const exported = exportLanguageModel(found.weights, model, vocab);
    await writeDurably(join(out, 'model.onnx'), exported);
    await writeDurably(join(out, 'vocab.json'), encodeVocab(vocab));
    return { ...found, rows, model, vocab, exported, unknown, ...(before === undefined ? {} : { before }) };
  } finally {
    await close();
  }
}
