import type { Rng } from '../core/rng.ts';
import { TextJoiner } from '../text/detokenise.ts';
import { special, specialTokens } from '../text/special.ts';
import { beginId, type Vocab } from '../text/vocab.ts';
import type { WordRules } from './sample.ts';

/** Why a text ended: `stop` at its own end or before a stop string, `length` at the limit of tokens. */
export type FinishReason = 'stop' | 'length';

/** The ids of a prompt after xxbos. A prompt's unknown words are read as xxunk, but shown as they are. */
export const promptIds = (vocab: Vocab, prompt: readonly string[]): Int32Array =>
  Int32Array.from([beginId, ...vocab.numericalise(prompt)]);

/** The beginning of a text without its space, where the prompt ends in white space already. */
export const withoutSpace = (prompt: string, text: string): string =>
  text.startsWith(' ') && /\s$/.test(prompt) ? text.slice(1) : text;

/** Tokens that may not come next, and those that end a text. */
export class Grammar {
  readonly #never: readonly number[];
  readonly #ends: readonly number[];
  readonly #neverOrEnds: readonly number[];
  readonly #special: readonly number[];
  /** The numbers 2 to 99, which people write before what is repeated. */
  readonly #counts: readonly number[];

  constructor(vocab: Vocab) {
    const ids = (words: readonly string[]): number[] => words.map((word) => vocab.id(word));
    this.#counts = vocab.words.flatMap((word, id) => (/^([2-9]|[1-9]\d)$/.test(word) ? [id] : []));
    const useless = this.#counts.length === 0 ? [special.repeated, special.repeatedWord] : [];
    this.#never = ids([special.unknown, special.padding, special.field, ...useless]);
    this.#ends = ids([special.begin, special.end]);
    this.#neverOrEnds = [...this.#never, ...this.#ends];
    this.#special = ids(specialTokens);
  }

  isEnd(id: number): boolean {
    return this.#ends.includes(id);
  }

  /** After a mark of capitals comes a word, after one of repetition a number and a word; a text of which nothing is `written` yet does not end. */
  rules(last: string | undefined, before: string | undefined, written: number): Pick<WordRules, 'banned' | 'only'> {
    if (isRepeat(last)) return { only: this.#counts };
    if (last === special.capital || last === special.capitals) return { banned: this.#special };
    return { banned: written === 0 || isRepeat(before) ? this.#neverOrEnds : this.#never };
  }
}

const isRepeat = (token: string | undefined): boolean => token === special.repeated || token === special.repeatedWord;

export interface WriterOptions {
  /** What the text follows. */
  readonly prompt: string;
  readonly stop: readonly string[];
  readonly maxTokens: number;
  /** Whether the ids that occurred are kept, for the penalty. */
  readonly remember: boolean;
}

/** One text that is being written, token by token. */
export class Writer {
  readonly #vocab: Vocab;
  readonly #grammar: Grammar;
  readonly #joiner = new TextJoiner();
  readonly #options: WriterOptions;
  readonly rng: Rng;
  /** Ids that occurred, those of the prompt among them. */
  readonly seen = new Set<number>();
  #last: string | undefined;
  #before: string | undefined;
  /** What follows the prompt. */
  text = '';
  tokens = 0;
  finishReason: FinishReason | undefined;
  #told = 0;

  constructor(vocab: Vocab, grammar: Grammar, prompt: readonly string[], rng: Rng, options: WriterOptions) {
    [this.#vocab, this.#grammar, this.#options, this.rng] = [vocab, grammar, options, rng];
    for (const token of prompt) this.#joiner.add(token);
    [this.#before, this.#last] = [prompt.at(-2), prompt.at(-1)];
    if (options.remember) for (const id of vocab.numericalise(prompt)) this.seen.add(id);
  }

  get rules(): WordRules {
    return { ...this.#grammar.rules(this.#last, this.#before, this.tokens), seen: this.seen };
  }

  /** Continues with a word; `finishReason` states when that was the end. */
  add(id: number): void {
    if (this.#grammar.isEnd(id)) {
      this.finishReason = 'stop';
      return;
    }
    const token = this.#vocab.words[id]!;
    [this.#before, this.#last] = [this.#last, token];
    this.tokens += 1;
    if (this.#options.remember) this.seen.add(id);
    this.#write(this.#joiner.add(token));
    if (this.finishReason === undefined && this.tokens >= this.#options.maxTokens) this.finishReason = 'length';
  }

  /** What has not been reported yet and cannot become part of a stop any more. */
  news(): string {
    const held = this.finishReason === undefined ? this.#heldBack() : 0;
    const piece = this.text.slice(this.#told, Math.max(this.#told, this.text.length - held));
    this.#told += piece.length;
    return piece;
  }

  /** A stop may have begun in what was there before. */
  #write(piece: string): void {
    const { stop, prompt } = this.#options;
    const from = this.text.length;
    this.text += from === 0 ? withoutSpace(prompt, piece) : piece;
    const found = stop.map((one) => this.text.indexOf(one, Math.max(0, from - one.length + 1))).filter((at) => at >= 0);
    if (found.length === 0) return;
    this.text = this.text.slice(0, Math.min(...found));
    this.finishReason = 'stop';
  }

  #heldBack(): number {
    const { stop } = this.#options;
    const most = Math.max(0, ...stop.map(({ length }) => length - 1));
    for (let length = Math.min(most, this.text.length); length > 0; length--)
      if (stop.some((one) => one.startsWith(this.text.slice(-length)))) return length;
    return 0;
  }
}
