import { join } from 'node:path';
import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../../../server/store/store.ts';
import type { TextRunResult, TextStart } from '../../../tasks/text/recipe.node.ts';
import type { CleanedPosts, Post } from '../../../training/text/posts.ts';
import { note, report } from '../cli.ts';
import {
  licenceNote,
  type Origin,
  originOf,
  putToWork,
  type RetrainOptions,
  type RetrainPlace,
  registerRetrained,
} from '../origin.ts';
import type { TextOptions } from './text-options.ts';
import { needTextOptions, runTextFromOptions, textConfig } from './train-text.ts';

export type RetrainTextOptions = RetrainOptions & TextOptions & { readonly column?: string; readonly until?: string };

/** Fewer held-out posts than this do not tell which model is better. */
const fewPosts = 10;

/** By how much the perplexity of held-out posts may grow and the new version still be put to work. */
const tolerance = 1.005;

async function startOf({ bytes }: Origin): Promise<TextStart> {
  const [{ textModelFacts }, { initializersOf }, { Vocab }] = await Promise.all([
    import('../../../training/apps/text.ts'),
    import('../../../training/onnx/weights.ts'),
    import('../../../training/text/vocab.ts'),
  ]);
  const { config, words } = textModelFacts(bytes);
  return { config, vocab: new Vocab(words), weights: initializersOf(bytes) };
}

function describePosts({ posts, dropped }: CleanedPosts, held: readonly Post[]): string {
  const { retweets, cut, empty, duplicates } = dropped;
  const since = held[0]?.time;
  const from = since === undefined ? 'the last' : `from ${new Date(since).toISOString().slice(0, 10)} on`;
  return `${posts.length} posts (left out: ${retweets} retweets, ${cut} cut off, ${empty} without words, ${duplicates} duplicates); held out: ${held.length}, ${from}`;
}

/** `fettle retrain text`. */
export async function retrainText(
  command: Command,
  options: RetrainTextOptions,
  { store, folder: folderFor }: RetrainPlace,
): Promise<void> {
  needTextOptions(options);
  const [{ textRetrainDefaults }, { readPosts }, { splitByTime }, { readCorpus }] = await Promise.all([
    import('../../../tasks/text/recipe.node.ts'),
    import('../../../training/text/read-texts.node.ts'),
    import('../../../training/text/posts.ts'),
    import('../../../training/text/corpus.node.ts'),
  ]);
  const source = await originOf(store, options.from, 'text');
  const cleaned = await readPosts(options.data, { column: options.column, until: options.until });
  const { train, valid } = splitByTime(cleaned.posts);
  note(describePosts(cleaned, valid));
  const corpusOf = (posts: readonly Post[]) => readCorpus(posts.map(({ text }) => ({ text, begins: true })));
  const folder = await folderFor(source.reference);
  const commandOptions = { ...options, out: folder };
  const result = await runTextFromOptions(command, commandOptions, {
    config: textConfig(textRetrainDefaults, commandOptions),
    data: { train: await corpusOf(train), valid: await corpusOf(valid) },
    start: await startOf(source),
  });
  const counts = { posts: train.length, held: valid.length };
  const version = await registerText(store, source, result, counts, options.data);
  const { name, version: number } = version.config;
  const [before, after] = [result.before!, result.best.metrics.perplexity!];
  if (valid.length < fewPosts)
    note(`only ${valid.length} held out: the comparison means little; more posts would make it sure`);
  const { active, words } = await putToWork(store, version, {
    keepActive: options.keepActive,
    worse: !(after <= before * tolerance),
  });
  report(
    command,
    {
      name,
      version: number,
      active,
      before,
      after,
      unknown: result.unknown,
      model: join(folder, 'model.onnx'),
    },
    `${name}@${number}: perplexity ${after.toFixed(2)} on ${valid.length} held-out posts, ${before.toFixed(2)} before; ${words}`,
  );
}

async function registerText(
  store: ModelStore,
  origin: Origin,
  { exported, best, before, unknown, vocab, model }: TextRunResult,
  { posts, held }: { readonly posts: number; readonly held: number },
  data: string,
): Promise<ModelVersion> {
  const { name, reference } = origin;
  const perplexity = best.metrics.perplexity!;
  const card = `# ${name}, fine-tuned on posts

Writes short texts in the style of ${posts} posts that it was fine-tuned on, from ${reference}. What it writes is made by a machine: it is nobody's
words, and says things that are not true.

| | |
|---|---|
| held out | the last ${held} posts |
| perplexity there | ${perplexity.toFixed(2)}, before fine-tuning ${before!.toFixed(2)} |
| words | ${vocab.size}; ${(100 * unknown).toFixed(2)} % of the held-out ones are unknown to it |
| net | ${model.layers} layers, ${model.width} numbers per word, ${model.hidden} per state |

The posts are their authors'; what may be done with them is for the user to know. ${licenceNote(origin)}
`;
  return registerRetrained(store, {
    origin,
    name,
    model: exported,
    card,
    data,
    config: {
      task: 'text',
      description: `fine-tuned from ${reference} on ${posts} posts`,
      metrics: { heldOutPerplexity: perplexity, startPerplexity: before!, unknownShare: unknown },
    },
  });
}
