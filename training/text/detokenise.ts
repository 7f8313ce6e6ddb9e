import { jointMark, leftMarks, rightMarks } from './marks.ts';
import { isSpecial, special } from './special.ts';
import { capitalised } from './tokenise.ts';

/** A part of the text with what it wants of its neighbours. */
interface Piece {
  readonly text: string;
  /** No space before, or after it. */
  readonly left: boolean;
  readonly right: boolean;
}

const contraction = /^(?:['’](?:s|re|ve|ll|d|m)|n['’]t)$/i;
const emoticon = /^[:;]-?[()DP]$/;
const wordEnd = /[\p{L}\p{M}\p{N}_]$/u;
const address = /^(?:https?:\/\/|www\.)/i;
const pictograph = /^\p{Extended_Pictographic}\uFE0F?$/u;

interface Word {
  readonly text: string;
  /** It is a mark that is joined to the words beside it. */
  readonly joint: Pick<Piece, 'left' | 'right'> | undefined;
  readonly times: number;
}

/** Longer repetitions are not written by people, but a language model may ask for them. */
const mostRepeats = 1000;

const isCount = (token: string | undefined): boolean =>
  token !== undefined && /^\d+$/.test(token) && Number(token) <= mostRepeats;

const isCase = (token: string): boolean => token === special.capital || token === special.capitals;
const isRepeat = (token: string): boolean => token === special.repeated || token === special.repeatedWord;

/** What one word is written with: marks of capitals and of repetition before it, if any, and the word. Its end is not in `tokens` yet: undefined. */
function unitEnd(tokens: readonly string[]): number | undefined {
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (isCase(token)) continue;
    if (!isRepeat(token)) return at + 1;
    if (at + 1 === tokens.length) return undefined;
    // Without a count the mark means nothing.
    if (!isCount(tokens[at + 1])) return at + 1;
    at += 1;
  }
  return undefined;
}

/** The word of a whole unit, or of one that the text broke off: then its marks say nothing. */
function wordOf(tokens: readonly string[], unknown: string, at = 0): Omit<Word, 'joint'> {
  const token = tokens[at];
  if (token === undefined) return { text: '', times: 1 };
  if (token === special.unknown) return { text: unknown, times: 1 };
  if (!isSpecial(token)) return { text: token, times: 1 };
  if (isCase(token)) {
    const inner = wordOf(tokens, unknown, at + 1);
    return { ...inner, text: token === special.capital ? capitalised(inner.text) : inner.text.toUpperCase() };
  }
  if (!isRepeat(token) || !isCount(tokens[at + 1])) return { text: '', times: 1 };
  const count = Number(tokens[at + 1]);
  const { text } = wordOf(tokens, unknown, at + 2);
  return token === special.repeated ? { text: text.repeat(count), times: 1 } : { text, times: count };
}

/** Decides on spaces one word after the other: quotes open and close in turn. */
class Joiner {
  #last: Piece | undefined;
  #lastWord = '';
  readonly #open = { '"': false, "'": false };

  /** The word as it continues in the text. */
  add(word: string, joint: Word['joint']): string {
    const { text, left, right } = joint ? { text: word, ...joint } : this.#piece(word);
    // A face behind a bracket would not be one.
    const takes = this.#last?.right && (!emoticon.test(text) || this.#last.text.endsWith('\n'));
    const close = this.#last === undefined || takes || left;
    this.#last = { text, left, right };
    this.#lastWord = word;
    return close ? text : ` ${text}`;
  }

  #piece(word: string): Piece {
    if (/^\n+$/.test(word)) return { text: word, left: true, right: true };
    const before = this.#last?.text ?? '';
    if (contraction.test(word)) return { text: word, left: this.#takes(word, before), right: false };
    if (word === '"' || word === "'") return this.#quote(word, before);
    const [mark = ''] = word;
    if (isRun(word, mark) && leftMarks.has(mark)) return { text: word, left: !before.endsWith(mark), right: false };
    if (isRun(word, mark) && rightMarks.has(mark)) return { text: word, left: false, right: true };
    return { text: word, left: pictograph.test(word) && pictograph.test(this.#lastWord), right: false };
  }

  /** Whether a contraction belongs to the word before it. */
  #takes(word: string, before: string): boolean {
    if (!wordEnd.test(before) || address.test(before)) return false;
    // A negation would become part of a name or tag.
    return !(/^n/i.test(word) && (contraction.test(before) || /^[@#]./.test(before)));
  }

  #quote(quote: '"' | "'", before: string): Piece {
    const open = this.#open[quote];
    // The dogs' bowls.
    if (quote === "'" && !open && /s$/i.test(before)) return { text: quote, left: true, right: false };
    this.#open[quote] = !open;
    return open ? { text: quote, left: true, right: false } : { text: quote, left: false, right: true };
  }
}

const isRun = (word: string, mark: string): boolean => word === mark.repeat(word.length / Math.max(1, mark.length));

export interface DetokeniseOptions {
  /** What stands for a word that was not in the vocabulary; nothing by default. */
  readonly unknown?: string;
}

/** Tokens one after the other to the text that they make: what {@link detokenise} makes of them all. */
export class TextJoiner {
  readonly #unknown: string;
  readonly #joiner = new Joiner();
  /** Marks whose word is still to come. */
  #open: string[] = [];

  constructor({ unknown = '' }: DetokeniseOptions = {}) {
    this.#unknown = unknown;
  }

  /** What the text continues with; '' until a word is complete. */
  add(token: string): string {
    this.#open.push(token);
    const end = unitEnd(this.#open);
    if (end === undefined) return '';
    // A mark without a count, and what came instead of it.
    const rest = this.#open.splice(end);
    const text = this.#write(this.#open);
    this.#open = [];
    return rest.reduce((sum, one) => sum + this.add(one), text);
  }

  /** What is left when the text ends here: marks without a word say nothing, a count without its word is a number. */
  end(): string {
    const last = this.#open.at(-1);
    this.#open = [];
    return last === undefined || isSpecial(last) ? '' : this.#write([last]);
  }

  #write(unit: readonly string[]): string {
    const { text, times } = wordOf(unit, this.#unknown);
    const joint = jointMark(unit[0]!);
    let written = '';
    for (let i = 0; i < times && text !== ''; i++) written += this.#joiner.add(joint?.mark ?? text, joint);
    return written;
  }
}

/**
 * detokenise: tokens -> a text for people: capitals, contractions, repetitions, spaces around marks and quotes, names, tags and addresses
 * as they were. Where a text had other spaces than such marks usually have (`5 %`), it has the usual ones afterwards.
 */
export function detokenise(tokens: readonly string[], options: DetokeniseOptions = {}): string {
  const joiner = new TextJoiner(options);
  let text = '';
  for (const token of tokens) text += joiner.add(token);
  return text + joiner.end();
}
