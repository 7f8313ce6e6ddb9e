import { ensure } from '../core/errors.ts';

/*
 * Interpolated, modified Kneser-Ney (Chen & Goodman 1999, section 4.1.6), the n-gram model that language models are held against:
 *
 *   p(w | h) = (c(h w) - D(c(h w))) / c(h) + gamma(h) p(w | h without its first word),   gamma(h) = sum over w of D(c(h w)) / c(h)
 *
 * c of the longest n-grams is how often they occur; of shorter ones, after how many different words. Below one word there is 1 / V.
 */

/** What is taken off the counts 1, 2, and 3 or more. */
export type Discounts = readonly [one: number, two: number, more: number];

export interface KneserNeyOptions {
  /** V: words of the vocabulary, xxunk among them; ids are 0..V-1. */
  readonly words: number;
  /** Words of the longest n-grams; 5 by default. */
  readonly order?: number;
}

export interface KneserNey {
  readonly order: number;
  /** Of n-grams of 1, 2, … words. */
  readonly discounts: readonly Discounts[];
  /** p(word | history), 0..1; over all words of the vocabulary they add up to 1. Of the history the last `order` - 1 words count. */
  probability(word: number, history?: ArrayLike<number>): number;
  /**
   * exp of the mean of -log p(next word), over the words that a language model predicts of the text when it is cut into `batchSize` rows
   * (1 by default): see `textWindows`. Each row begins without a history.
   */
  perplexity(tokens: Int32Array, options?: { readonly batchSize?: number }): number;
}

/** Numbers in a list that grows. */
class Numbers {
  data = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.data.length) {
      const grown = new Float64Array(2 * this.length);
      grown.set(this.data);
      this.data = grown;
    }
    this.data[this.length++] = value;
  }
}

/** All n-grams of one length: each has an id, by the id of its first n - 1 words in the level before. */
class Level {
  readonly #ids = new Map<number, number>();
  readonly #words: number;
  readonly #parents = new Numbers();
  readonly #counts = new Numbers();
  discounts: Discounts = [0, 0, 0];
  /** Of each history, which is an n-gram of the level before: the sum of its counts, and gamma. */
  #totals = new Float64Array(0);
  #gammas = new Float64Array(0);

  constructor(words: number) {
    this.#words = words;
  }

  find(history: number, word: number): number | undefined {
    return this.#ids.get(history * this.#words + word);
  }

  /** The n-gram's id, and whether it is new. */
  add(history: number, word: number): { readonly id: number; readonly isNew: boolean } {
    const known = this.find(history, word);
    if (known !== undefined) return { id: known, isNew: false };
    const id = this.#ids.size;
    this.#ids.set(history * this.#words + word, id);
    this.#parents.push(history);
    this.#counts.push(0);
    return { id, isNew: true };
  }

  count(id: number): void {
    this.#counts.data[id]! += 1;
  }

  get size(): number {
    return this.#ids.size;
  }

  /** Makes discounts, sums and gammas of the counts; `histories`: n-grams of the level before. */
  finish(histories: number): void {
    const counts = this.#counts.data.subarray(0, this.size);
    this.discounts = discountsOf(counts);
    this.#totals = new Float64Array(histories);
    this.#gammas = new Float64Array(histories);
    for (const [id, count] of counts.entries()) {
      const history = this.#parents.data[id]!;
      this.#totals[history]! += count;
      this.#gammas[history]! += this.#discount(count);
    }
    for (const [history, total] of this.#totals.entries()) if (total > 0) this.#gammas[history]! /= total;
  }

  #discount(count: number): number {
    return count === 0 ? 0 : this.discounts[Math.min(count, 3) - 1]!;
  }

  /** p(word | history) where `lower` is that with a shorter history. */
  interpolate(history: number, word: number, lower: number): number {
    const total = this.#totals[history]!;
    if (total === 0) return lower;
    const id = this.find(history, word);
    const count = id === undefined ? 0 : this.#counts.data[id]!;
    return (count - this.#discount(count)) / total + this.#gammas[history]! * lower;
  }
}

/** Where a text is too small to estimate them: discounts that fit most texts. */
const usualDiscounts: Discounts = [0.5, 1, 1.5];

/** Chen & Goodman's estimate by n1 .. n4, the numbers of n-grams with the counts 1 .. 4: D_k = k - (k + 1) Y n_k+1 / n_k, Y = n1 / (n1 + 2 n2). */
export function discountsOf(counts: Iterable<number>): Discounts {
  const n = [0, 0, 0, 0, 0];
  for (const count of counts) if (count >= 1 && count <= 4) n[count]! += 1;
  const y = n[1]! / (n[1]! + 2 * n[2]!);
  const discount = (k: number): number => k - ((k + 1) * y * n[k + 1]!) / n[k]!;
  const found = [discount(1), discount(2), discount(3)] as const;
  return found.every((value, i) => value >= 0 && value <= i + 1) ? found : usualDiscounts;
}

/** Ids of the n-grams of 0, 1, … words that a text ends with; -1 where one did not occur. */
type Histories = readonly number[];
const noHistory: Histories = [0];

/** Counts the n-grams of the text, and of the shorter ones after how many words they come. */
function countAll(tokens: Int32Array, levels: readonly Level[]): void {
  const order = levels.length;
  let before: Histories = noHistory;
  for (const [place, word] of tokens.entries()) {
    const ids = [0];
    for (let n = 1; n <= Math.min(order, place + 1); n++) {
      const { id, isNew } = levels[n - 1]!.add(before[n - 1]!, word);
      ids.push(id);
      if (n === order) levels[n - 1]!.count(id);
      // Without its first word it now comes after one word more.
      if (isNew && n > 1) levels[n - 2]!.count(ids[n - 1]!);
      // At the text's beginning it comes after nothing, which counts as a word.
      if (n === place + 1 && n < order) levels[n - 1]!.count(id);
    }
    before = ids.slice(0, order);
  }
}

function checkIds(tokens: Int32Array, words: number): void {
  const wrong = tokens.findIndex((id) => id < 0 || id >= words);
  ensure(wrong === -1, 'bad-data', () => {
    return `kneserNey: expected word ids in 0..${words - 1}, got ${tokens[wrong]} at ${wrong}; numericalise with the vocabulary that words counts`;
  });
}

/** kneserNey: word ids of a text -> its n-gram model. */
export function kneserNey(tokens: Int32Array, { words, order = 5 }: KneserNeyOptions): KneserNey {
  ensure(Number.isInteger(order) && order >= 1 && tokens.length >= 1, 'bad-argument', () => {
    return `kneserNey: expected a whole order >= 1 and at least a word, got ${order} and ${tokens.length}`;
  });
  checkIds(tokens, words);
  const levels = Array.from({ length: order }, () => new Level(words));
  countAll(tokens, levels);
  for (const [i, level] of levels.entries()) level.finish(i === 0 ? 1 : levels[i - 1]!.size);

  const after = (histories: Histories, word: number): Histories => {
    const next = histories.map((history, i) => (history < 0 ? -1 : (levels[i]!.find(history, word) ?? -1)));
    return [0, ...next].slice(0, order);
  };
  const probabilityAfter = (histories: Histories, word: number): number => {
    let p = 1 / words;
    for (const [i, history] of histories.entries()) if (history >= 0) p = levels[i]!.interpolate(history, word, p);
    return p;
  };
  const rowLoss = (row: Int32Array): number => {
    let histories = after(noHistory, row[0]!);
    let loss = 0;
    for (const word of row.subarray(1)) {
      loss -= Math.log(probabilityAfter(histories, word));
      histories = after(histories, word);
    }
    return loss;
  };
  return {
    order,
    discounts: levels.map(({ discounts }) => discounts),
    probability(word, history = []) {
      const last = Array.from(history).slice(Math.max(0, history.length - order + 1));
      return probabilityAfter(last.reduce(after, noHistory), word);
    },
    perplexity(text, { batchSize = 1 } = {}) {
      checkIds(text, words);
      const rowLength = Math.floor(text.length / batchSize);
      ensure(rowLength >= 2, 'bad-data', () => {
        return `kneserNey: expected at least ${2 * batchSize} words for ${batchSize} rows, got ${text.length}`;
      });
      let loss = 0;
      for (let row = 0; row < batchSize; row++) loss += rowLoss(text.subarray(row * rowLength, (row + 1) * rowLength));
      return Math.exp(loss / (batchSize * (rowLength - 1)));
    },
  };
}
