import { ensure } from '../core/errors.ts';

const ones = ['', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const teens = [
  'ten',
  'eleven',
  'twelve',
  'thirteen',
  'fourteen',
  'fifteen',
  'sixteen',
  'seventeen',
  'eighteen',
  'nineteen',
];
const tens = ['', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];

/** numberWords: 1..9999 in English, without "and" and hyphens: 8041 -> eight, thousand, forty, one. */
export function numberWords(value: number): string[] {
  ensure(Number.isInteger(value) && value >= 1 && value <= 9999, 'bad-argument', () => {
    return `numberWords: expected a whole number 1..9999, got ${value}`;
  });
  const [thousands, hundreds, rest] = [Math.floor(value / 1000), Math.floor(value / 100) % 10, value % 100];
  const words: string[] = [];
  if (thousands > 0) words.push(ones[thousands]!, 'thousand');
  if (hundreds > 0) words.push(ones[hundreds]!, 'hundred');
  if (rest >= 10 && rest < 20) words.push(teens[rest - 10]!);
  else words.push(tens[Math.floor(rest / 10)]!, ones[rest % 10]!);
  return words.filter(Boolean);
}

/** The words in front of every fastai vocabulary of that time: unknown, padding, start, field, capitals, repetitions. */
const specialWords = ['xxunk', 'xxpad', 'xxbos', 'xxfld', 'xxmaj', 'xxup', 'xxrep', 'xxwrep'] as const;

/** numbersText: `xxbos one , two , ... , <to>` as words, from `from`. */
export function numbersText(from: number, to: number): string[] {
  const words = ['xxbos'];
  for (let value = from; value <= to; value++) {
    if (value > from) words.push(',');
    words.push(...numberWords(value));
  }
  return words;
}

/** The data set of lesson 7: numbers 1 to 8000 to learn from, 8001 to 9999 to be tested with. */
export interface HumanNumbers {
  /** Word ids i32: 50 082 tokens. */
  readonly train: Int32Array;
  /** Word ids i32: 13 017 tokens. */
  readonly valid: Int32Array;
  /** The 38 words by id: the special ones, then those of the training text, the most frequent first. */
  readonly vocab: readonly string[];
}

/** Words by falling frequency; of equally frequent ones the one that comes first in the text. */
function wordsByFrequency(words: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([word]) => word);
}

/** humanNumbers: makes the data set: what fastai's `URLs.HUMAN_NUMBERS` is after its tokeniser and numericaliser. */
export function humanNumbers(): HumanNumbers {
  const [trainWords, validWords] = [numbersText(1, 8000), numbersText(8001, 9999)];
  const own = wordsByFrequency(trainWords).filter((word) => !specialWords.some((special) => special === word));
  const vocab = [...specialWords, ...own];
  const ids = new Map(vocab.map((word, id) => [word, id]));
  const numericalise = (words: readonly string[]): Int32Array => Int32Array.from(words, (word) => ids.get(word)!);
  return { train: numericalise(trainWords), valid: numericalise(validWords), vocab };
}

/** textOf: ids -> their words with spaces between (fastai's `textify`). */
export const textOf = (ids: Int32Array, vocab: readonly string[]): string =>
  Array.from(ids, (id) => vocab[id] ?? `<${id}>`).join(' ');
