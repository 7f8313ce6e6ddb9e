import { special } from './special.ts';
import { tokenise } from './tokenise.ts';
import { unknownId, type Vocab } from './vocab.ts';

/** A piece of a text: a paragraph, or a post. */
export interface TextPart {
  readonly text: string;
  /** A new text begins with it (xxbos); else it continues after a line end. */
  readonly begins: boolean;
}

/** Tokens as numbers of their own words, before there is a vocabulary. */
export interface TokenisedParts {
  readonly words: readonly string[];
  /** Places in `words`. */
  readonly ids: Int32Array;
}

/** tokeniseParts: parts -> tokens of one after the other, xxbos or a line end before each. */
export function tokeniseParts(parts: readonly TextPart[]): TokenisedParts {
  const places = new Map<string, number>();
  const ids: number[] = [];
  const add = (token: string): void => {
    const place = places.get(token) ?? places.size;
    if (place === places.size) places.set(token, place);
    ids.push(place);
  };
  for (const { text, begins } of parts) {
    add(begins ? special.begin : '\n');
    for (const token of tokenise(text)) add(token);
  }
  return { words: [...places.keys()], ids: Int32Array.from(ids) };
}

/** Tokens of a whole text: 4 bytes each, and every different word once. */
export class Corpus {
  readonly #places = new Map<string, number>();
  #counts = new Int32Array(1024);
  readonly #chunks: Int32Array[] = [];
  /** Tokens so far. */
  length = 0;

  add({ words, ids }: TokenisedParts): void {
    const places = Int32Array.from(words, (word) => this.#place(word));
    const chunk = ids.map((id) => places[id]!);
    for (const place of chunk) this.#counts[place]! += 1;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** The first and the last part of the text, `share` of its tokens in the latter. */
  split(share: number): { readonly train: Corpus; readonly valid: Corpus } {
    const words = [...this.#places.keys()];
    const cut = Math.round(this.length * (1 - share));
    const [train, valid] = [new Corpus(), new Corpus()];
    let at = 0;
    for (const chunk of this.#chunks) {
      const here = Math.min(chunk.length, Math.max(0, cut - at));
      for (const [corpus, ids] of [
        [train, chunk.subarray(0, here)],
        [valid, chunk.subarray(here)],
      ] as const)
        if (ids.length > 0) corpus.#append(words, ids);
      at += chunk.length;
    }
    return { train, valid };
  }

  /** Adds ids of `words`, of which only some occur. */
  #append(words: readonly string[], ids: Int32Array): void {
    const own = [...new Set(ids)];
    const places = new Map(own.map((id, place) => [id, place]));
    this.add({ words: own.map((id) => words[id]!), ids: ids.map((id) => places.get(id)!) });
  }

  #place(word: string): number {
    const known = this.#places.get(word);
    if (known !== undefined) return known;
    const place = this.#places.size;
    this.#places.set(word, place);
    if (place >= this.#counts.length) {
      const grown = new Int32Array(2 * this.#counts.length);
      grown.set(this.#counts);
      this.#counts = grown;
    }
    return place;
  }

  /** Occurrences of every word, in the order in which they came first. */
  counts(): Map<string, number> {
    return new Map([...this.#places].map(([word, place]) => [word, this.#counts[place]!]));
  }

  /** The whole text as ids of `vocab`. */
  numericalise(vocab: Vocab): Int32Array {
    const ids = Int32Array.from(this.#places.keys(), (word) => vocab.id(word));
    const all = new Int32Array(this.length);
    let at = 0;
    for (const chunk of this.#chunks) for (const place of chunk) all[at++] = ids[place]!;
    return all;
  }
}

/** Share 0..1 of tokens that are xxunk. */
export const unknownShare = (tokens: Int32Array): number =>
  tokens.reduce((count, id) => count + (id === unknownId ? 1 : 0), 0) / Math.max(1, tokens.length);
