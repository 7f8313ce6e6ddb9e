import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { convertWords, exportLanguageModel, openTextModel, textModelFacts } from '../../../training/apps/text.ts';
import { textPerplexity } from '../../../training/generate/perplexity.ts';
import { quantiseWeights } from '../../../training/onnx/quantise.ts';
import { initializersOf } from '../../../training/onnx/weights.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { unknownShare } from '../../../training/text/corpus.ts';
import { kneserNey } from '../../../training/text/kneser-ney.ts';
import { Vocab } from '../../../training/text/vocab.ts';
import { type PostsData, readPostsData } from './posts-data.ts';

/*
 * How well held-out posts are predicted: the body that read WikiText-2 alone, the same fine-tuned, the same with int8 weights, and n-grams of the
 * same posts. One vocabulary for all, that of the fine-tuned model; xxunk counts like any word. Texts lie in as many rows for all.
 *
 *   node dist/tasks/text/results/tweets.js --body runs/text/model.onnx --tuned runs/retrain-text/model.onnx
 */

/** Rows that the texts are cut into: those of the fine-tuning, and more for the longer text. */
const batchSizes = { held: 16, later: 64 };

/** The perplexities of one model. */
export interface TweetsRow {
  readonly model: string;
  readonly held: number;
  readonly later: number;
}

export interface TweetsResult {
  readonly rows: readonly TweetsRow[];
  readonly words: number;
  /** Shares of xxunk, 0..1. */
  readonly unknown: { readonly held: number; readonly later: number };
  readonly posts: PostsData['posts'];
  readonly tokens: { readonly train: number; readonly held: number; readonly later: number };
}

type Ids = { readonly held: Int32Array; readonly later: Int32Array };

async function rowOf(model: string, file: Uint8Array, { held, later }: Ids): Promise<TweetsRow> {
  const open = await openTextModel(file, (graph) => openSession(graph));
  try {
    return {
      model,
      held: await textPerplexity(open, held, { batchSize: batchSizes.held }),
      later: await textPerplexity(open, later, { batchSize: batchSizes.later }),
    };
  } finally {
    await open.session.release();
  }
}

/** A model with the words of `vocab`, as this version exports it; those it does not know get the mean embedding. */
export function withWords(model: Uint8Array, vocab: Vocab): Uint8Array {
  const { config, words } = textModelFacts(model);
  const weights = convertWords(initializersOf(model), new Vocab(words), vocab);
  return exportLanguageModel(weights, { ...config, words: vocab.size }, vocab);
}

/** Measures the body, the fine-tuned model (both .onnx of f32), that in int8, and 5-grams. */
export async function measureTweets(body: Uint8Array, tuned: Uint8Array): Promise<TweetsResult> {
  const data = await readPostsData();
  const vocab = new Vocab(textModelFacts(tuned).words);
  const [train, held, later] = [data.train, data.held, data.later].map((corpus) => corpus.numericalise(vocab)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const ids = { held, later };
  const exported = withWords(tuned, vocab);
  const grams = kneserNey(train, { words: vocab.size });
  const rows = [
    await rowOf('body', withWords(body, vocab), ids),
    await rowOf('fine-tuned', exported, ids),
    await rowOf('fine-tuned, int8 weights', quantiseWeights(exported), ids),
    {
      model: '5-gram Kneser-Ney',
      held: grams.perplexity(held, { batchSize: batchSizes.held }),
      later: grams.perplexity(later, { batchSize: batchSizes.later }),
    },
  ];
  return {
    rows,
    words: vocab.size,
    unknown: { held: unknownShare(held), later: unknownShare(later) },
    posts: data.posts,
    tokens: { train: train.length, held: held.length, later: later.length },
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function describe({ rows, words, unknown, posts, tokens }: TweetsResult): string {
  return [
    `${posts.train} posts to learn from (${tokens.train} tokens); ${posts.held} held out (${tokens.held}), ${posts.later} of 2019 (${tokens.later})`,
    `${words} words; xxunk: ${percent(unknown.held)} of the held-out ones, ${percent(unknown.later)} of those of 2019`,
    '| model | held out | 2019 |',
    '|---|---|---|',
    ...rows.map(({ model, held, later }) => `| ${model} | ${held.toFixed(2)} | ${later.toFixed(2)} |`),
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  const { body, tuned } = new Command('tweets')
    .option('--body <file>', 'model.onnx of fettle train text', join('runs', 'text', 'model.onnx'))
    .option('--tuned <file>', 'model.onnx of fettle retrain text', join('runs', 'retrain-text', 'model.onnx'))
    .parse()
    .opts<{ readonly body: string; readonly tuned: string }>();
  process.stdout.write(`${describe(await measureTweets(await readFile(body), await readFile(tuned)))}\n`);
}
