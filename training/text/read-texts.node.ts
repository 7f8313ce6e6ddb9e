import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ensure } from '../core/errors.ts';
import { type CorpusOptions, readCorpus, readParagraphs } from './corpus.node.ts';
import type { Corpus, TextPart } from './corpus.ts';
import { type CleanedPosts, cleanPosts, type Post, parsePosts } from './posts.ts';

/** Texts to learn from, and to be measured on where they are files of their own. */
export interface TextFolder {
  readonly train: Corpus;
  readonly valid?: Corpus;
  readonly test?: Corpus;
}

const isText = (name: string): boolean => /\.txt(\.gz)?$/.test(name);

async function* paragraphsOf(paths: readonly string[]): AsyncGenerator<TextPart> {
  for (const path of paths) yield* readParagraphs(path);
}

/** The files below a folder, or the file itself, in the order of their names. */
async function filesOf(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch(() => undefined);
  ensure(
    found !== undefined,
    'not-found',
    () => `--data: expected a file or a folder, got ${path}, which is not there`,
  );
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * readTextFolder: a file .txt or .txt.gz, or a folder of them. Where there is a `train.txt`, `valid.txt` and `test.txt` are the other sets;
 * else all of them are one text.
 */
export async function readTextFolder(path: string, options: CorpusOptions = {}): Promise<TextFolder> {
  const files = (await filesOf(path)).filter(isText);
  ensure(files.length > 0, 'bad-data', () => `--data: expected files .txt or .txt.gz, got none in ${path}`);
  const named = (set: string) => files.find((file) => basename(file).replace(/\.gz$/, '') === `${set}.txt`);
  const train = named('train');
  if (train === undefined) return { train: await readCorpus(paragraphsOf(files), options) };
  const sets = { train, valid: named('valid'), test: named('test') };
  const corpora: Partial<Record<keyof typeof sets, Corpus>> = {};
  for (const [set, file] of Object.entries(sets))
    if (file !== undefined) corpora[set as keyof typeof sets] = await readCorpus(readParagraphs(file), options);
  return corpora as TextFolder;
}

export interface ReadPostsOptions {
  /** Where the text is in a table; a column called text, full_text, content … by default. */
  readonly column?: string | undefined;
  /** A date: posts from then on are omitted, and so are those without a time. */
  readonly until?: string | undefined;
}

/** readPosts: a .csv, .jsonl, .json or tweets.js file, or a folder of such files and of .txt files with a post each -> clean posts. */
export async function readPosts(path: string, { column, until }: ReadPostsOptions = {}): Promise<CleanedPosts> {
  const files = (await filesOf(path)).filter((file) => /\.(csv|jsonl|ndjson|json|js|txt)$/i.test(file));
  ensure(
    files.length > 0,
    'bad-data',
    () => `--data: expected posts in .csv, .jsonl, .json, .js or .txt, got none in ${path}`,
  );
  const end = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
  ensure(!Number.isNaN(end), 'bad-argument', () => `--until: expected a date such as 2019-01-01, got ${until}`);
  const posts: Post[] = [];
  for (const file of files) posts.push(...(await postsOf(file, column)));
  return cleanPosts(until === undefined ? posts : posts.filter(({ time }) => time !== undefined && time < end));
}

async function postsOf(file: string, column: string | undefined): Promise<readonly Post[]> {
  const content = await readFile(file, 'utf8');
  if (!file.toLowerCase().endsWith('.txt')) return parsePosts(content, file, column);
  return [{ text: content, time: (await stat(file)).mtimeMs }];
}
