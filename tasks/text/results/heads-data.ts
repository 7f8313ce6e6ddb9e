import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dataFolder } from '../../../scripts/results/data.ts';
import { createRng } from '../../../training/core/rng.ts';
import { readParagraphs } from '../../../training/text/corpus.node.ts';
import { noLabel } from '../../../training/text/labelled.ts';
import { cleanPosts, parsePosts } from '../../../training/text/posts.ts';
import { special } from '../../../training/text/special.ts';
import { tokenise } from '../../../training/text/tokenise.ts';

/* Labelled sets that are derived from the texts, the same on every machine. */

/** Tokens of a text and its class. */
export interface ClassedTokens {
  readonly tokens: readonly string[];
  readonly label: number;
}

/** Tokens, and a label for each. */
export interface TaggedTokens {
  readonly tokens: readonly string[];
  readonly labels: readonly number[];
}

export const replyClasses: readonly string[] = ['own post', 'reply'];

/**
 * Whether a post up to the end of 2018 answers another: such posts begin with @names, which cleaning takes out. Posts are drawn at random, `test`
 * of them and then `train`.
 */
export async function replies(
  sizes: { readonly train: number; readonly test: number },
  seed: number,
): Promise<{ readonly train: readonly ClassedTokens[]; readonly test: readonly ClassedTokens[] }> {
  const file = join(dataFolder(), 'text/elonmusk_tweets.csv');
  const raw = parsePosts(await readFile(file, 'utf8'), file).filter(({ time }) => time! < Date.parse('2019-01-01'));
  const answers = new Set(
    raw.filter(({ text }) => /^\s*@\w/.test(text)).flatMap((post) => cleanPosts([post]).posts.map(keyOf)),
  );
  const posts = createRng(seed, 'replies').shuffle(cleanPosts(raw).posts);
  const classed = posts.map((post) => ({ tokens: tokenise(post.text), label: answers.has(keyOf(post)) ? 1 : 0 }));
  return { test: classed.slice(0, sizes.test), train: classed.slice(sizes.test, sizes.test + sizes.train) };
}

const keyOf = ({ text, time }: { readonly text: string; readonly time: number | undefined }): string =>
  `${time} ${text}`;

export const markLabels: readonly string[] = ['', 'capital', 'comma', 'comma, capital', 'stop', 'stop, capital'];

/**
 * A text without commas, full stops and capitals, and what was taken from each word: whether a comma (2) or stop (4) stood before it, and whether it
 * had a capital or more (1). Other marks stay, and have no label.
 */
export function withoutMarks(tokens: readonly string[]): TaggedTokens {
  const words: string[] = [];
  const labels: number[] = [];
  let [mark, capital] = [0, 0];
  for (const token of tokens) {
    if (token === ',') mark = 2;
    else if (token === '.') mark = 4;
    else if (token === special.capital || token === special.capitals) capital = 1;
    else {
      words.push(token);
      labels.push(/^\p{L}/u.test(token) && token !== special.unknown ? mark + capital : noLabel);
      [mark, capital] = [0, 0];
    }
  }
  return { tokens: words, labels };
}

/** `count` paragraphs of WikiText-2's `set` with at least 20 words, evenly spread, without their marks. */
export async function markedParagraphs(set: 'train' | 'valid', count: number): Promise<readonly TaggedTokens[]> {
  const all: TaggedTokens[] = [];
  for await (const { text } of readParagraphs(join(dataFolder(), `text/wikitext-2/${set}.txt.gz`))) {
    if (text.startsWith('=')) continue;
    const tagged = withoutMarks(tokenise(text));
    if (tagged.tokens.length >= 20) all.push(tagged);
  }
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
}
