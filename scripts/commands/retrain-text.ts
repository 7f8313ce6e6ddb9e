import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../../server/store.ts';
import type { TextRunResult, TextStart } from '../../training/apps/text-run.node.ts';
import type { CleanedPosts, Post } from '../../training/data/text/posts.ts';
import { note, report } from '../cli.ts';
import type { RetrainOptions } from './retrain.ts';
import type { TextOptions } from './text-options.ts';
import { needTextOptions, runTextFromOptions, textConfig } from './train-text.ts';

export type RetrainTextOptions = RetrainOptions & TextOptions & { readonly column?: string; readonly until?: string };

/** Where the weights come from: a version of the store, or a file. */
interface Source {
  readonly name: string;
  readonly reference: string;
  readonly bytes: Uint8Array;
}

async function sourceOf(store: ModelStore, from: string): Promise<Source> {
  if (from.endsWith('.onnx') && existsSync(from)) return { name: 'text', reference: from, bytes: await readFile(from) };
  const version = await store.resolve(from);
  const { name, version: number } = version.config;
  return { name, reference: `${name}@${number}`, bytes: await store.read(version, 'model.onnx') };
}

async function startOf({ bytes }: Source): Promise<TextStart> {
  const [{ textModelFacts }, { initializersOf }, { Vocab }] = await Promise.all([
    import('../../training/apps/text.ts'),
    import('../../training/onnx/weights.ts'),
    import('../../training/data/text/vocab.ts'),
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
  store: ModelStore,
  out: (name: string) => Promise<string>,
): Promise<void> {
  needTextOptions(options);
  const [{ textRetrainDefaults }, { readPosts }, { splitByTime }, { readCorpus }] = await Promise.all([
    import('../../training/apps/text-run.node.ts'),
    import('../../training/data/text/read-texts.node.ts'),
    import('../../training/data/text/posts.ts'),
    import('../../training/data/text/corpus.node.ts'),
  ]);
  const source = await sourceOf(store, options.from);
  const cleaned = await readPosts(options.data, { column: options.column, until: options.until });
  const { train, valid } = splitByTime(cleaned.posts);
  note(describePosts(cleaned, valid));
  const corpusOf = (posts: readonly Post[]) => readCorpus(posts.map(({ text }) => ({ text, begins: true })));
  const folder = options.out ?? (await out(source.reference.replaceAll(/[^\w-]+/g, '-')));
  const commandOptions = { ...options, out: folder };
  const result = await runTextFromOptions(command, commandOptions, {
    config: textConfig(textRetrainDefaults, commandOptions),
    data: { train: await corpusOf(train), valid: await corpusOf(valid) },
    start: await startOf(source),
  });
  const version = await registerText(store, source, result, { posts: train.length, held: valid.length });
  const { name, version: number } = version.config;
  if (!options.keepActive) await store.use(name, number);
  const [before, after] = [result.before!, result.best.metrics.perplexity!];
  report(
    command,
    {
      name,
      version: number,
      active: !options.keepActive,
      before,
      after,
      unknown: result.unknown,
      model: join(folder, 'model.onnx'),
    },
    `${name}@${number}: perplexity ${after.toFixed(2)} on ${valid.length} held-out posts, ${before.toFixed(2)} before`,
  );
}

async function registerText(
  store: ModelStore,
  { name, reference }: Source,
  { exported, best, before, unknown, vocab, model }: TextRunResult,
  { posts, held }: { readonly posts: number; readonly held: number },
): Promise<ModelVersion> {
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

The posts are their authors'; what may be done with them is for the user to know.
`;
  return store.register(
    name,
    {
      'model.onnx': exported,
      'card.md': card,
      LICENSE: `Fine-tuned from ${reference}, whose licence applies, on posts of the user.\n`,
    },
    {
      name,
      task: 'text',
      createdAt: new Date().toISOString(),
      description: `fine-tuned from ${reference} on ${posts} posts`,
      metrics: { heldOutPerplexity: perplexity, startPerplexity: before!, unknownShare: unknown },
    },
  );
}
