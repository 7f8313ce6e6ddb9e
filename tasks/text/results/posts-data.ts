import { join } from 'node:path';
import { dataFolder } from '../../../scripts/results/data.ts';
import { readCorpus } from '../../../training/text/corpus.node.ts';
import type { Corpus } from '../../../training/text/corpus.ts';
import { type Post, splitByTime } from '../../../training/text/posts.ts';
import { readPosts } from '../../../training/text/read-texts.node.ts';

/** The posts that `text` is fine-tuned on, as `fettle retrain text --until 2019-01-01` reads them. */
export interface PostsData {
  readonly train: Corpus;
  /** The latest tenth: decides which epoch is the best. */
  readonly held: Corpus;
  /** The year after: decides nothing. */
  readonly later: Corpus;
  readonly posts: { readonly train: number; readonly held: number; readonly later: number };
}

const until = '2019-01-01';

const corpusOf = (posts: readonly Post[]): Promise<Corpus> =>
  readCorpus(posts.map(({ text }) => ({ text, begins: true })));

export async function readPostsData(): Promise<PostsData> {
  const file = join(dataFolder(), 'text/elonmusk_tweets.csv');
  const { train, valid } = splitByTime((await readPosts(file, { until })).posts);
  const later = (await readPosts(file, { until: '2020-01-01' })).posts.filter(({ time }) => time! >= Date.parse(until));
  const posts = { train: train.length, held: valid.length, later: later.length };
  return { train: await corpusOf(train), held: await corpusOf(valid), later: await corpusOf(later), posts };
}
