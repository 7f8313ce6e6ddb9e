import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { textModelFacts } from '../../../training/apps/text.ts';
import { textClassifierLearner, textIds, unfreezeGradually } from '../../../training/apps/text-classifier.ts';
import type { EncoderTaskOptions } from '../../../training/apps/text-encoder.ts';
import { textTaggerLearner } from '../../../training/apps/text-tagger.ts';
import type { Callback } from '../../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../../training/loop/recorder.ts';
import { initializersOf } from '../../../training/onnx/weights.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { frequentTags, logisticRegression, naiveBayes, type TextGuess } from '../../../training/text/baselines.ts';
import { type LabelledText, noLabel, type TaggedText } from '../../../training/text/labelled.ts';
import { makeVocab, Vocab } from '../../../training/text/vocab.ts';
import { markedParagraphs, markLabels, replies, replyClasses, type TaggedTokens } from './heads-data.ts';

/*
 * What a language model's encoder is good for besides writing, on small labelled sets derived from the texts:
 *   classes   is a post an answer? 2000 posts to learn from, 1000 to be measured on; beside bags of words
 *   labels    commas, full stops and capitals that were taken out of Wikipedia's paragraphs; beside each word's most frequent label
 *
 *   node dist/tasks/text/results/heads.js --task classes --encoder MODEL.onnx [--epochs 4]
 *
 * The encoder of the first is that of a model fine-tuned on posts, of the second that of one that read WikiText-2's training part.
 */

interface Options {
  readonly task: string;
  readonly encoder: string;
  readonly epochs: string;
  readonly lr: string;
  readonly count?: string;
  readonly drop: string;
  readonly threads: string;
  readonly baselines?: true;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

async function encoderOf(file: string): Promise<Required<Pick<EncoderTaskOptions, 'encoder' | 'vocab'>>> {
  const bytes = await readFile(file);
  const { config, words } = textModelFacts(bytes);
  const vocab = new Vocab(words);
  const all = initializersOf(bytes);
  const weights = new Map([...all].filter(([name]) => name.startsWith('encoder.') || name.startsWith('rnns.')));
  return { vocab, encoder: { weights, vocab, config } };
}

const describe = ({ epoch, trainLoss, metrics }: EpochRow): string =>
  `  epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, ${Object.entries(metrics)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ')}`;

const tell: Callback = { name: 'tell', numbers: [], afterEpoch: ({ row }) => say(describe(row!)) };

const shareRight = (guess: TextGuess, texts: readonly LabelledText[]): number =>
  texts.filter(({ ids, label }) => guess(ids) === label).length / texts.length;

async function classes(options: Options): Promise<void> {
  const { train, test } = await replies({ train: Number(options.count ?? 2000), test: 1000 }, 1);
  const counts = new Map<string, number>();
  for (const { tokens } of train) for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  const bagVocab = makeVocab(counts, { minFreq: 2 });
  const numbered = (vocab: Vocab, texts: typeof train): LabelledText[] =>
    texts.map(({ tokens, label }) => ({ ids: textIds(vocab, tokens), label }));
  const [bags, held] = [numbered(bagVocab, train), numbered(bagVocab, test)];
  const sizes = { classes: 2, words: bagVocab.size };
  const most = held.filter(({ label }) => label === 1).length / held.length;
  say(
    `${train.length} posts to learn from, ${test.length} to be measured on; the larger class ${percent(Math.max(most, 1 - most))}`,
  );
  say(`naive Bayes ${percent(shareRight(naiveBayes(bags, sizes), held))}`);
  for (const l2 of [1e-4, 1e-3, 1e-2])
    say(`logistic regression, l2 ${l2}: ${percent(shareRight(logisticRegression(bags, { ...sizes, l2 }), held))}`);
  if (options.baselines) return;
  const { vocab, encoder } = await encoderOf(options.encoder);
  const { learner } = await textClassifierLearner({
    vocab,
    encoder,
    classes: replyClasses,
    train: numbered(vocab, train),
    valid: numbered(vocab, test),
    batchSize: 32,
    lengths: [16, 32, 64],
    config: { dropMult: Number(options.drop) },
    loops: 'scan',
    open: (graph) => openSession(graph, { threads: Number(options.threads) }),
    callbacks: [tell],
  });
  const rows = await unfreezeGradually(learner, { epochs: Number(options.epochs), lr: Number(options.lr) });
  say(`encoder: ${percent(rows.at(-1)!.metrics.accuracy!)}`);
  await learner.close();
}

/** Share of words with the right label, and the mean of the labels' F-scores. */
function scoreOf(tag: (id: number) => number, texts: readonly TaggedText[], labels: number) {
  const [hit, told, there] = [0, 1, 2].map(() => new Float64Array(labels)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (const { ids, labels: own } of texts)
    for (const [i, label] of own.entries()) {
      if (label === noLabel) continue;
      const guess = tag(ids[i]!);
      told[guess]! += 1;
      there[label]! += 1;
      if (guess === label) hit[label]! += 1;
    }
  const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
  const f1 = hit.map((value, k) => (2 * value) / Math.max(1, told[k]! + there[k]!));
  return { accuracy: sum(hit) / sum(there), f1: sum(f1) / labels, words: sum(there) };
}

async function labels(options: Options): Promise<void> {
  const { vocab, encoder } = await encoderOf(options.encoder);
  const numbered = (texts: readonly TaggedTokens[]): TaggedText[] =>
    texts.map(({ tokens, labels: own }) => ({
      ids: textIds(vocab, tokens),
      labels: Int32Array.from([noLabel, ...own]),
    }));
  const train = numbered(await markedParagraphs('train', Number(options.count ?? 1000)));
  const test = numbered(await markedParagraphs('valid', 250));
  const none = scoreOf(() => 0, test, markLabels.length);
  const usual = scoreOf(frequentTags(train, markLabels.length), test, markLabels.length);
  say(`${train.length} paragraphs to learn from, ${test.length} with ${none.words} labels to be measured on`);
  say(`always the most frequent label: accuracy ${percent(none.accuracy)}, macro F1 ${none.f1.toFixed(3)}`);
  say(`each word's most frequent label: accuracy ${percent(usual.accuracy)}, macro F1 ${usual.f1.toFixed(3)}`);
  if (options.baselines) return;
  const { learner } = await textTaggerLearner({
    vocab,
    encoder,
    labels: markLabels,
    train,
    valid: test,
    lengths: [64],
    config: { dropMult: Number(options.drop) },
    loops: 'scan',
    open: (graph) => openSession(graph, { threads: Number(options.threads) }),
    callbacks: [tell],
  });
  const rows = await unfreezeGradually(learner, { epochs: Number(options.epochs), lr: Number(options.lr) });
  const { accuracy, f1 } = rows.at(-1)!.metrics;
  say(`encoder: accuracy ${percent(accuracy!)}, macro F1 ${f1!.toFixed(3)}`);
  await learner.close();
}

const options = new Command('text-heads')
  .requiredOption('--task <name>', 'classes or labels')
  .requiredOption('--encoder <file>', 'model.onnx of a language model')
  .option('--epochs <n>', 'with all layers, after one each for the head, one and two layers', '4')
  .option('--lr <x>', 'of the head, first', '0.02')
  .option('--drop <x>', 'multiplies all dropouts', '0.5')
  .option('--count <n>', 'texts to learn from')
  .option('--threads <n>', 'of the arithmetic', '1')
  .option('--baselines', 'only these')
  .parse()
  .opts<Options>();
await (options.task === 'labels' ? labels : classes)(options);
