import { textModelFacts } from '../../training/apps/text.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { readCorpus } from '../../training/text/corpus.node.ts';
import { type CleanedPosts, type Post, splitByTime } from '../../training/text/posts.ts';
import { readPosts, readTextFolder } from '../../training/text/read-texts.node.ts';
import { Vocab } from '../../training/text/vocab.ts';
import type { PlanFrom, RunPlace, Scores, Training, TrainOptions } from '../training.node.ts';
import { type PostCounts, textCard } from './card.ts';
import {
  openLearner,
  runText,
  type TextRunConfig,
  type TextRunOptions,
  type TextRunResult,
  type TextStart,
  textRetrainDefaults,
  textRunDefaults,
} from './recipe.node.ts';

/** Fewer held-out posts than this do not show which model is better. */
const fewPosts = 10;

/** By how much the perplexity of held-out posts may grow and the new version still serve. */
const tolerance = 1.005;

interface Options extends TrainOptions {
  readonly column?: string;
  readonly until?: string;
  readonly vocab?: number;
  readonly width?: number;
  readonly hidden?: number;
  readonly bptt?: number;
  readonly prompt?: string;
}

type Run = Pick<TextRunOptions, 'config' | 'data' | 'start' | 'prompts'> & { readonly posts?: PostCounts };

/** The settings that the options ask for, over `defaults`. */
function configOf(defaults: TextRunConfig, options: Options): TextRunConfig {
  const { vocab, width, hidden, bptt, batch, epochs, lr, seed } = options;
  const sizes = { ...(width === undefined ? {} : { width }), ...(hidden === undefined ? {} : { hidden }) };
  return {
    ...defaults,
    model: { ...defaults.model, ...sizes },
    maxVocab: vocab ?? defaults.maxVocab,
    batchSize: batch ?? defaults.batchSize,
    bptt: bptt ?? defaults.bptt,
    epochs: epochs ?? defaults.epochs,
    lr: lr ?? defaults.lr,
    seed,
  };
}

function startOf(bytes: Uint8Array): TextStart {
  const { config, words } = textModelFacts(bytes);
  return { config, vocab: new Vocab(words), weights: initializersOf(bytes) };
}

function describePosts({ posts, dropped }: CleanedPosts, held: readonly Post[]): string {
  const { retweets, cut, empty, duplicates } = dropped;
  const since = held[0]?.time;
  const from = since === undefined ? 'the last' : `from ${new Date(since).toISOString().slice(0, 10)} on`;
  return `${posts.length} posts (skipped: ${retweets} retweets, ${cut} cut off, ${empty} without words, ${duplicates} duplicates); held out: ${held.length}, ${from}`;
}

async function readTexts({ data, workers }: Options): Promise<Pick<Run, 'data'>> {
  const { train, valid } = await readTextFolder(data, workers === undefined ? {} : { workers });
  return { data: valid === undefined ? train.split(0.1) : { train, valid } };
}

async function readOwnPosts(
  { data, column, until }: Options,
  onNote: PlanFrom['onNote'],
): Promise<Pick<Run, 'data' | 'posts'>> {
  const cleaned = await readPosts(data, { column, until });
  const { train, valid } = splitByTime(cleaned.posts);
  onNote(describePosts(cleaned, valid));
  const corpusOf = (posts: readonly Post[]) => readCorpus(posts.map(({ text }) => ({ text, begins: true })));
  return {
    data: { train: await corpusOf(train), valid: await corpusOf(valid) },
    posts: { trained: train.length, held: valid.length },
  };
}

/** Whether the data are posts of one's own; `.txt` and folders are read as texts. */
const isTable = ({ data, column, until }: Options): boolean =>
  column !== undefined || until !== undefined || /\.(csv|jsonl|json|js)$/i.test(data);

async function plan(options: Options, { verb, origin, onNote }: PlanFrom): Promise<Run> {
  const prompts = options.prompt === undefined ? {} : { prompts: [options.prompt] };
  if (verb === 'train' || (verb === 'lr-find' && !isTable(options)))
    return { config: configOf(textRunDefaults, options), ...(await readTexts(options)), ...prompts };
  const own = await readOwnPosts(options, onNote);
  if (origin !== undefined)
    return { config: configOf(textRetrainDefaults, options), ...own, ...prompts, start: startOf(origin.bytes) };
  return { config: configOf({ ...textRetrainDefaults, model: textRunDefaults.model }, options), ...own, ...prompts };
}

type Place = Pick<RunPlace, 'device' | 'open'>;

/** On a CPU loops over time are faster as `Scan`. */
const placed = <R extends Place>(run: R) => ({ ...run, loops: run.device === 'cpu' ? 'scan' : 'unrolled' }) as const;

/**
 * Perplexity of the held-out texts, in the words of the run whatever those of the model: the rows of words that it does not have are the mean
 * of its others, as where a retraining starts from it.
 */
async function score({ model }: { readonly model: Uint8Array }, run: Run & Place): Promise<number> {
  const own = { ...run, config: { ...run.config, model: {} }, start: startOf(model) };
  const { learner, close } = await openLearner(placed(own));
  try {
    return (await learner.validate()).perplexity!;
  } finally {
    await close();
  }
}

/** It does not serve if it is worse than the model that it started from, or than the version that serves. */
function compare({ best, before, unknown }: TextRunResult, { posts }: Run, { after: scored, serving }: Scores<number>) {
  const after = best.metrics.perplexity!;
  const { trained, held } = posts!;
  const few = `only ${held} held out: the comparison means little; more posts would make it sure`;
  return {
    description: `on ${trained} posts`,
    metrics: {
      heldOutPerplexity: after,
      ...(before === undefined ? {} : { startPerplexity: before }),
      unknownShare: unknown,
    },
    notes: held < fewPosts ? [few] : [],
    worse:
      (before !== undefined && !(after <= before * tolerance)) ||
      (serving !== undefined && !(scored! <= serving * tolerance)),
    data: { before, after, unknown },
    text: `perplexity ${after.toFixed(2)} on ${held} held-out posts${before === undefined ? '' : `, ${before.toFixed(2)} before`}`,
  };
}

export const textTraining: Training<Options, Run, TextRunResult, undefined, number> = {
  plan,
  run: (options) => runText(placed(options)),
  openLearner: (options) => openLearner(placed(options)),
  describe: ({ epoch, trainLoss, metrics, seconds }) =>
    `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, perplexity ${metrics.perplexity!.toFixed(2)}, accuracy ${metrics.accuracy!.toFixed(4)}, ${seconds.toFixed(0)} s`,
  export: ({ exported }) => ({ model: exported }),
  summarise: ({ best, rows, unknown }) => ({
    data: { best, rows, unknown },
    text: `best: epoch ${best.epoch}, perplexity ${best.metrics.perplexity!.toFixed(2)}`,
  }),
  score,
  compare,
  card: (facts, result, { posts }) => textCard(facts, result, posts!),
};
