import { ensure } from '../core/errors.ts';
import { special, specialTokens } from './special.ts';

export interface VocabOptions {
  /** Words at most, special ones among them; 60 000 by default. */
  readonly maxVocab?: number;
  /** Occurrences that a word must have; 3 by default. */
  readonly minFreq?: number;
}

/** The words that a model knows, by id: the special ones first, then by falling frequency. */
export class Vocab {
  readonly words: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  /** Throws `bad-data` unless the words differ and begin with the special ones. */
  constructor(words: readonly string[]) {
    this.words = words;
    this.#ids = new Map(words.map((word, id) => [word, id]));
    ensure(this.#ids.size === words.length, 'bad-data', () => {
      return `vocabulary: expected different words, got ${words.length - this.#ids.size} twice`;
    });
    const wrong = specialTokens.findIndex((word, id) => words[id] !== word);
    ensure(wrong === -1, 'bad-data', () => {
      return `vocabulary: expected ${specialTokens[wrong]} as word ${wrong}, got ${words[wrong] ?? 'none'}`;
    });
  }

  get size(): number {
    return this.words.length;
  }

  has(word: string): boolean {
    return this.#ids.has(word);
  }

  /** The id of a word, that of xxunk where it is not known. */
  id(word: string): number {
    return this.#ids.get(word) ?? unknownId;
  }

  /** tokens -> their ids, i32. */
  numericalise(tokens: readonly string[]): Int32Array {
    return Int32Array.from(tokens, (token) => this.id(token));
  }

  /** ids -> their words. */
  textify(ids: ArrayLike<number>): string[] {
    return Array.from(ids, (id) => this.words[id] ?? special.unknown);
  }
}

export const unknownId = 0;
export const paddingId = 1;
export const beginId = 2;

/** Vocabulary of word counts: what occurs `minFreq` times, the most frequent first, words of equal counts in their order in `counts`. */
export function makeVocab(
  counts: ReadonlyMap<string, number>,
  { maxVocab = 60_000, minFreq = 3 }: VocabOptions = {},
): Vocab {
  const known = new Set(specialTokens);
  const words = [...counts].filter(([word, count]) => count >= minFreq && !known.has(word)).sort((a, b) => b[1] - a[1]);
  return new Vocab([...specialTokens, ...words.slice(0, Math.max(0, maxVocab - known.size)).map(([word]) => word)]);
}

/** The vocabulary as JSON text. */
export const encodeVocab = ({ words }: Vocab): string => `${JSON.stringify({ format: 'fettle-vocab-1', words })}\n`;

/** Reads {@link encodeVocab}'s text; throws `bad-data`. */
export function decodeVocab(text: string, where = 'vocabulary'): Vocab {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    ensure(false, 'bad-data', () => `${where}: expected JSON, got ${(error as Error).message}`);
  }
  const { format, words } = (found ?? {}) as { readonly format?: unknown; readonly words?: unknown };
  ensure(
    format === 'fettle-vocab-1' && Array.isArray(words) && words.every((word) => typeof word === 'string'),
    'bad-data',
    () => `${where}: expected { format: "fettle-vocab-1", words: [...] }, got format ${String(format)}`,
  );
  return new Vocab(words);
}
