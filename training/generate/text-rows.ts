import type { Tensor } from '../core/tensor.ts';
import type { Vocab } from '../text/vocab.ts';
import type { WordScores } from './sample.ts';

type Tensors = Readonly<Record<string, Tensor>>;

/** A language model that is open: what `exportLanguageModel` made, and its words. */
export interface OpenTextModel {
  /**
   * Feeds `words` int32[N,T] and states [1,N,H], gets `scores` f32[N,V] and `next/…` of every state. With `fetches` results are written into
   * their memory.
   */
  readonly session: { run(feeds: Tensors, fetches?: Tensors): Promise<Tensors> };
  readonly vocab: Vocab;
  readonly states: readonly { readonly name: string; readonly size: number }[];
  /** Whether the graph takes `temperature` f32[N,1] too, and makes `probabilities` f32[N,V] of the scores. */
  readonly weighs?: boolean;
}

/** Where one text stands: every state of the model, f32[H] each. */
export type RowState = readonly Float32Array[];

/** What the graph makes of the scores, one row after the other. */
interface Results {
  readonly scores: Float32Array;
  readonly probabilities: Float32Array;
}

/**
 * Texts that are read together, one row each. The states go from the results of one step into the feeds of the next by changing places: they are
 * copied only for rows that come, and for the last row when it takes the place of one that leaves.
 */
export class TextRows {
  readonly #model: OpenTextModel;
  #room = 0;
  #now: Float32Array[] = [];
  #next: Float32Array[] = [];
  #results: Results = resultsFor(0, 0, false);
  count = 0;

  constructor(model: OpenTextModel) {
    this.#model = model;
  }

  /** Adds a row that stands where `state` was taken; at the beginning of a text by default. */
  add(state?: RowState): void {
    if (this.count === this.#room) this.#grow();
    const row = this.count++;
    for (const [i, { size }] of this.#model.states.entries()) {
      const place = this.#now[i]!.subarray(row * size, (row + 1) * size);
      if (state === undefined) place.fill(0);
      else place.set(state[i]!);
    }
  }

  /** A copy of where a row stands. */
  state(row: number): RowState {
    return this.#model.states.map(({ size }, i) => this.#now[i]!.slice(row * size, (row + 1) * size));
  }

  /** Takes a row away; the last one gets its place. */
  remove(row: number): void {
    this.count -= 1;
    if (row === this.count) return;
    for (const [i, { size }] of this.#model.states.entries())
      this.#now[i]!.copyWithin(row * size, this.count * size, (this.count + 1) * size);
  }

  clear(): void {
    this.count = 0;
  }

  /** Reads the next T words of every row, words[N T]; the graph weighs the scores by the rows' temperatures f32[N], 1 by default. */
  async read(words: Int32Array, temperatures: Float32Array = new Float32Array(this.count).fill(1)): Promise<void> {
    const { session, states, vocab, weighs = false } = this.#model;
    const n = this.count;
    const floats = (dims: readonly number[], data: Float32Array): Tensor => {
      const size = dims.reduce((product, dim) => product * dim, 1);
      return { dtype: 'float32', dims, data: data.subarray(0, size) };
    };
    const feeds: Record<string, Tensor> = { words: { dtype: 'int32', dims: [n, words.length / n], data: words } };
    const { scores, probabilities } = this.#results;
    const fetches: Record<string, Tensor> = { scores: floats([n, vocab.size], scores) };
    if (weighs) {
      feeds.temperature = floats([n, 1], temperatures);
      fetches.probabilities = floats([n, vocab.size], probabilities);
    }
    for (const [i, { name, size }] of states.entries()) {
      feeds[name] = floats([1, n, size], this.#now[i]!);
      fetches[`next/${name}`] = floats([1, n, size], this.#next[i]!);
    }
    await session.run(feeds, fetches);
    [this.#now, this.#next] = [this.#next, this.#now];
  }

  /** The scores of the word that follows in a row, and what the graph made of them: views that the next `read` writes into. */
  result(row: number): WordScores {
    const { vocab, weighs = false } = this.#model;
    const { scores, probabilities } = this.#results;
    const [low, high] = [row * vocab.size, (row + 1) * vocab.size];
    return {
      scores: scores.subarray(low, high),
      ...(weighs && { probabilities: probabilities.subarray(low, high) }),
    };
  }

  #grow(): void {
    const { states, vocab, weighs = false } = this.#model;
    this.#room = Math.max(1, 2 * this.#room);
    const grown = (before: Float32Array | undefined, size: number): Float32Array => {
      const data = new Float32Array(this.#room * size);
      if (before !== undefined) data.set(before);
      return data;
    };
    this.#now = states.map(({ size }, i) => grown(this.#now[i], size));
    this.#next = states.map(({ size }) => grown(undefined, size));
    this.#results = resultsFor(this.#room, vocab.size, weighs);
  }
}

const resultsFor = (rows: number, words: number, weighs: boolean): Results => ({
  scores: new Float32Array(rows * words),
  probabilities: new Float32Array(weighs ? rows * words : 0),
});
