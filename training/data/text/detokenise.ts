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

/** Tokens without special ones: capitals are in the words, repetitions written out. Stray special tokens are left out. */
function* wordsOf(tokens: readonly string[], unknown: string): Generator<Word> {
  for (let at = 0; at < tokens.length; ) {
    const { text, end, times } = unit(tokens, at, unknown);
    const joint = jointMark(tokens[at]!);
    at = end;
    if (text !== '') yield { text: joint?.mark ?? text, joint, times };
  }
}

interface Unit {
  readonly text: string;
  /** Where the next one begins. */
  readonly end: number;
  /** It stands so many times, as words with spaces. */
  readonly times: number;
}

/** Longer repetitions are not written by people, but a language model may ask for them. */
const mostRepeats = 1000;

function unit(tokens: readonly string[], at: number, unknown: string): Unit {
  const token = tokens[at]!;
  if (token === special.unknown) return { text: unknown, end: at + 1, times: 1 };
  if (!isSpecial(token)) return { text: token, end: at + 1, times: 1 };
  const rest = at + 1 < tokens.length;
  if (rest && (token === special.capital || token === special.capitals)) {
    const inner = unit(tokens, at + 1, unknown);
    return { ...inner, text: token === special.capital ? capitalised(inner.text) : inner.text.toUpperCase() };
  }
  const count = Number(tokens[at + 1]);
  const counts = /^\d+$/.test(tokens[at + 1] ?? '') && count <= mostRepeats && at + 2 < tokens.length;
  if (counts && (token === special.repeated || token === special.repeatedWord)) {
    const { text, end } = unit(tokens, at + 2, unknown);
    return token === special.repeated ? { text: text.repeat(count), end, times: 1 } : { text, end, times: count };
  }
  return { text: '', end: at + 1, times: 1 };
}

/** Decides on spaces one word after the other: quotes open and close in turn. */
class Joiner {
  text = '';
  #last: Piece | undefined;
  #lastWord = '';
  readonly #open = { '"': false, "'": false };

  add(word: string, joint: Word['joint']): void {
    const { text, left, right } = joint ? { text: word, ...joint } : this.#piece(word);
    // A face behind a bracket would not be one.
    const takes = this.#last?.right && (!emoticon.test(text) || this.#last.text.endsWith('\n'));
    const close = this.#last === undefined || takes || left;
    this.text += close ? text : ` ${text}`;
    this.#last = { text, left, right };
    this.#lastWord = word;
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
  /** What stands for a word that was not in the vocabulary; nothing when left out. */
  readonly unknown?: string;
}

/**
 * detokenise: tokens -> a text for people: capitals, contractions, repetitions, spaces around marks and quotes, names, tags and addresses
 * as they were. Where a text had other spaces than such marks usually have (`5 %`), it has the usual ones afterwards.
 */
export function detokenise(tokens: readonly string[], { unknown = '' }: DetokeniseOptions = {}): string {
  const joiner = new Joiner();
  for (const { text, joint, times } of wordsOf(tokens, unknown))
    for (let i = 0; i < times; i++) joiner.add(text, joint);
  return joiner.text;
}
