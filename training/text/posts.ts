import { parseCsv } from '../core/csv.ts';
import { ensure } from '../core/errors.ts';
import { tidyText } from './tokenise.ts';

/** A short text of somebody's. */
export interface Post {
  readonly text: string;
  /** Milliseconds since 1970; undefined where nothing states it. */
  readonly time: number | undefined;
}

/** Why posts were omitted, and how many. */
export interface CleanedPosts {
  /** Oldest first; those without a time keep their order. */
  readonly posts: readonly Post[];
  readonly dropped: {
    readonly retweets: number;
    readonly cut: number;
    readonly empty: number;
    readonly duplicates: number;
  };
}

const textColumns = ['text', 'full_text', 'content', 'body', 'message'];
const timeColumns = ['date', 'created_at', 'time', 'timestamp', 'datetime'];

type Row = Readonly<Record<string, unknown>>;

function columnOf(rows: readonly Row[], wanted: string | undefined, where: string): string {
  const columns = Object.keys(rows[0] ?? {});
  const found = wanted === undefined ? textColumns.find((name) => columns.includes(name)) : wanted;
  ensure(found !== undefined && columns.includes(found), 'bad-data', () => {
    return `${where}: expected a column ${wanted ?? textColumns.join(' or ')}, got ${columns.join(', ') || 'no rows'}; name it with --column`;
  });
  return found;
}

/** ISO dates, Twitter's `Wed Oct 10 20:19:24 +0000 2018`, or seconds or milliseconds since 1970. */
function timeOf(value: unknown): number | undefined {
  const number = Number(value);
  if (value !== '' && value !== null && Number.isFinite(number)) return number > 1e11 ? number : number * 1000;
  const parsed = Date.parse(String(value));
  return Number.isNaN(parsed) ? undefined : parsed;
}

function postsOfRows(rows: readonly Row[], column: string | undefined, where: string): Post[] {
  const name = columnOf(rows, column, where);
  const time = timeColumns.find((one) => one in rows[0]!);
  return rows.map((row) => ({
    text: String(row[name] ?? ''),
    time: time === undefined ? undefined : timeOf(row[time]),
  }));
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    ensure(false, 'bad-data', () => `${where}: expected JSON, got ${(error as Error).message}`);
  }
}

const isRow = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value);

function needRows(values: readonly unknown[], where: string): readonly Row[] {
  const wrong = values.findIndex((value) => !isRow(value));
  ensure(
    wrong === -1,
    'bad-data',
    () => `${where}: expected objects, got ${JSON.stringify(values[wrong])} as number ${wrong + 1}`,
  );
  return values as readonly Row[];
}

/** The `tweets.js` of an archive of X or Twitter: `window.YTD.tweets.part0 = [ { "tweet": { … } }, … ]`. */
function archiveRows(text: string, where: string): readonly Row[] {
  const start = text.indexOf('=');
  ensure(start >= 0, 'bad-data', () => `${where}: expected window.YTD.tweets.part0 = [ … ], got no "="`);
  const list = parseJson(text.slice(start + 1), where);
  ensure(Array.isArray(list), 'bad-data', () => `${where}: expected a list of tweets, got ${typeof list}`);
  return needRows(list, where).map((entry) => (isRow(entry.tweet) ? entry.tweet : entry));
}

/** parsePosts: the content of a .csv, .jsonl, .json or .js (an archive's tweets) file -> posts. `column`: where the text is. */
export function parsePosts(content: string, name: string, column?: string): Post[] {
  const lines = (): unknown[] =>
    content
      .split('\n')
      .map((line, i) => [line.trim(), i] as const)
      .filter(([line]) => line !== '')
      .map(([line, i]) => parseJson(line, `${name}, line ${i + 1}`));
  const list = (): unknown[] => {
    const parsed = parseJson(content, name);
    ensure(Array.isArray(parsed), 'bad-data', () => `${name}: expected a list of posts, got ${typeof parsed}`);
    return parsed;
  };
  const extension = /\.(\w+)$/.exec(name)?.[1]?.toLowerCase();
  if (extension === 'csv') {
    ensure(content.trim() !== '', 'bad-data', () => `${name}: expected a header and posts, got an empty file`);
    return postsOfRows(parseCsv(content).rows, column, name);
  }
  if (extension === 'jsonl' || extension === 'ndjson') return postsOfRows(needRows(lines(), name), column, name);
  if (extension === 'json') return postsOfRows(needRows(list(), name), column, name);
  if (extension === 'js') return postsOfRows(archiveRows(content, name), column, name);
  ensure(false, 'bad-data', () => `posts: expected a file .csv, .jsonl, .json or .js, got ${name}`);
}

/** A post as one would learn from it: links of t.co and the names that a reply begins with are out, quotes are straight. */
export const cleanPost = (text: string): string =>
  tidyText(
    tidyText(text)
      .replace(/https?:\/\/t\.co\/\w*…?|pic\.twitter\.com\/\w+/g, ' ')
      .replace(/[‘’]/g, "'")
      .replace(/[“”]/g, '"')
      .replace(/^\s*(?:@\w+\s+)+/, '')
      .replace(/[^\S\n]+/g, ' '),
  );

/** cleanPosts: without retweets, posts that were cut off, empty ones, and all but the first of equal ones. */
export function cleanPosts(raw: readonly Post[]): CleanedPosts {
  const dropped = { retweets: 0, cut: 0, empty: 0, duplicates: 0 };
  const seen = new Set<string>();
  const reasonAgainst = (original: string, text: string): keyof typeof dropped | undefined => {
    if (/^\s*RT @\w+/.test(original)) return 'retweets';
    if (/…\s*(?:https?:\S+)?\s*$/.test(original) && original.length >= 120) return 'cut';
    if (!/[\p{L}\p{N}]/u.test(text)) return 'empty';
    return seen.has(text.toLowerCase()) ? 'duplicates' : undefined;
  };
  const posts: Post[] = [];
  const byTime = raw.every(({ time }) => time !== undefined) ? [...raw].sort((a, b) => a.time! - b.time!) : raw;
  for (const { text: original, time } of byTime) {
    const text = cleanPost(original);
    const reason = reasonAgainst(original, text);
    if (reason === undefined) {
      seen.add(text.toLowerCase());
      posts.push({ text, time });
    } else dropped[reason] += 1;
  }
  return { posts, dropped };
}

/** The last `share` of the posts, at least one, is held out: the model is measured on what came after all that it has seen. */
export function splitByTime(
  posts: readonly Post[],
  share = 0.1,
): { readonly train: readonly Post[]; readonly valid: readonly Post[] } {
  const held = Math.max(1, Math.round(posts.length * share));
  ensure(posts.length > held, 'bad-data', () => `posts: expected at least 2, got ${posts.length}`);
  return { train: posts.slice(0, posts.length - held), valid: posts.slice(posts.length - held) };
}
