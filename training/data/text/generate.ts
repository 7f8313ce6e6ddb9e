import { ensure } from '../../core/errors.ts';
import { createRng, type Rng } from '../../core/rng.ts';
import type { Tensor } from '../../core/tensor.ts';
import { detokenise } from './detokenise.ts';
import { checkSampling, logProbabilities, type SampleOptions, sampleWord } from './sample.ts';
import { special, specialTokens } from './special.ts';
import { tokenise } from './tokenise.ts';
import { beginId, type Vocab } from './vocab.ts';

type Tensors = Readonly<Record<string, Tensor>>;

/** A language model that is open: what `exportLanguageModel` made, and its words. */
export interface OpenTextModel {
  /** Feeds `words` int32[N,T] and states [1,N,H], gets `scores` f32[N,V] and `next/…` of every state. */
  readonly session: { run(feeds: Tensors): Promise<Tensors> };
  readonly vocab: Vocab;
  readonly states: readonly { readonly name: string; readonly size: number }[];
}

/** Where N texts stand: the scores of the next word of each, and the model's states. */
interface Position {
  readonly scores: Float32Array;
  readonly states: readonly Float32Array[];
}

const rowsOf = (data: Float32Array, size: number, rows: readonly number[]): Float32Array => {
  const taken = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) taken.set(data.subarray(row * size, (row + 1) * size), i * size);
  return taken;
};

/** Reads the next words, `words` of `count` texts one after the other. */
async function read(model: OpenTextModel, words: Int32Array, count: number, before?: Position): Promise<Position> {
  const { session, states } = model;
  const feeds: Record<string, Tensor> = { words: { dtype: 'int32', dims: [count, words.length / count], data: words } };
  for (const [i, { name, size }] of states.entries())
    feeds[name] = {
      dtype: 'float32',
      dims: [1, count, size],
      data: before?.states[i] ?? new Float32Array(count * size),
    };
  const results = await session.run(feeds);
  const floats = (name: string): Float32Array => results[name]!.data as Float32Array;
  return { scores: floats('scores'), states: states.map(({ name }) => floats(`next/${name}`)) };
}

/** The position of some of the texts; one may be taken several times. */
const take = ({ vocab, states }: OpenTextModel, position: Position, rows: readonly number[]): Position => ({
  scores: rowsOf(position.scores, vocab.size, rows),
  states: position.states.map((data, i) => rowsOf(data, states[i]!.size, rows)),
});

export interface GenerateOptions extends SampleOptions {
  /** What the text begins with; '' when left out. */
  readonly prompt?: string;
  /** Candidates, written together; 1 when left out. */
  readonly n?: number;
  /** Tokens at most; 60 when left out. */
  readonly maxTokens?: number;
  /** The same seed gives the same text; 1 when left out. Candidate i is the same whatever n. */
  readonly seed?: number;
  /** The text ends before any of these. */
  readonly stop?: readonly string[];
  /** Ends the work after the token that is being made. */
  readonly signal?: AbortSignal;
  /** Is told of every piece of text as it comes. A piece in which a `stop` may begin waits for the next. */
  readonly onText?: (candidate: number, piece: string) => void;
}

export interface Candidate {
  /** What follows the prompt. */
  readonly text: string;
  readonly tokens: number;
  /** `stop`: the text came to its end or to a stop; `length`: to maxTokens. */
  readonly finishReason: 'stop' | 'length';
}

/** Tokens that may not come next, and those that end a text. */
class Grammar {
  readonly #vocab: Vocab;
  readonly #never: readonly number[];
  readonly #ends: readonly number[];
  #numbers: readonly number[] | undefined;

  constructor(vocab: Vocab) {
    this.#vocab = vocab;
    const ids = (...words: readonly string[]): number[] => words.map((word) => vocab.id(word));
    this.#never = ids(special.unknown, special.padding, special.field);
    this.#ends = ids(special.begin, special.end);
  }

  isEnd(id: number): boolean {
    return this.#ends.includes(id);
  }

  /** After a mark of capitals comes a word, after one of repetition a number; a text that has no word yet does not end. */
  banned(last: string | undefined, empty: boolean): readonly number[] {
    if (last === special.repeated || last === special.repeatedWord) return this.#notCounts();
    if (last === special.capital || last === special.capitals) return specialTokens.map((word) => this.#vocab.id(word));
    return empty ? [...this.#never, ...this.#ends] : this.#never;
  }

  /** All words but the numbers 2 to 99, the counts that people write; when there is none, the marks of repetition themselves. */
  #notCounts(): readonly number[] {
    this.#numbers ??= this.#vocab.words.flatMap((word, id) => (/^([2-9]|[1-9]\d)$/.test(word) ? [] : [id]));
    return this.#numbers.length < this.#vocab.size ? this.#numbers : this.#never;
  }
}

/** One text that is being written. */
class Writer {
  readonly #prompt: readonly string[];
  readonly #promptText: string;
  readonly #stop: readonly string[];
  readonly #vocab: Vocab;
  readonly ids: number[] = [];
  readonly rng: Rng;
  text = '';
  told = 0;
  finishReason: Candidate['finishReason'] | undefined;

  constructor(vocab: Vocab, prompt: readonly string[], rng: Rng, stop: readonly string[]) {
    this.#vocab = vocab;
    this.#prompt = prompt;
    this.#promptText = detokenise(prompt);
    this.#stop = stop;
    this.rng = rng;
  }

  get last(): string | undefined {
    const id = this.ids.at(-1);
    return id === undefined ? this.#prompt.at(-1) : this.#vocab.words[id];
  }

  get isEmpty(): boolean {
    return this.#prompt.length === 0 && this.ids.length === 0;
  }

  add(id: number, watched: boolean): void {
    this.ids.push(id);
    if (watched || this.#stop.length > 0) this.spell();
  }

  /** Makes the text of the ids so far; it ends before a stop. */
  spell(): void {
    const whole = detokenise([...this.#prompt, ...this.#vocab.textify(this.ids)]);
    this.text = whole.slice(this.#promptText.length);
    const ends = this.#stop.map((stop) => this.text.indexOf(stop)).filter((at) => at >= 0);
    if (ends.length === 0) return;
    this.text = this.text.slice(0, Math.min(...ends));
    this.finishReason = 'stop';
  }

  /** What has not been told yet and cannot become part of a stop any more. */
  news(): string {
    const held = this.finishReason === undefined ? this.#heldBack() : 0;
    const piece = this.text.slice(this.told, Math.max(this.told, this.text.length - held));
    this.told += piece.length;
    return piece;
  }

  #heldBack(): number {
    const most = Math.max(0, ...this.#stop.map((stop) => stop.length - 1));
    for (let length = Math.min(most, this.text.length); length > 0; length--)
      if (this.#stop.some((stop) => stop.startsWith(this.text.slice(-length)))) return length;
    return 0;
  }
}

function needCounts(options: GenerateOptions): void {
  for (const name of ['n', 'maxTokens'] as const) {
    const value = options[name] ?? 1;
    ensure(Number.isInteger(value) && value >= 1, 'bad-argument', () => {
      return `generateText: expected a whole ${name} >= 1, got ${value}`;
    });
  }
  ensure(
    !options.stop?.includes(''),
    'bad-argument',
    () => "generateText: expected stop strings, got ''; leave it out",
  );
  checkSampling(options);
}

/** The ids of a prompt after xxbos. A prompt's unknown words are read as xxunk, but shown as they are. */
const promptIds = (vocab: Vocab, prompt: readonly string[]): Int32Array =>
  Int32Array.from([beginId, ...vocab.numericalise(prompt)]);

/** generateText: texts that go on where the prompt ends, `n` of them in one batch, the states kept from token to token. */
export async function generateText(model: OpenTextModel, options: GenerateOptions = {}): Promise<readonly Candidate[]> {
  needCounts(options);
  const { prompt = '', n = 1, maxTokens = 60, seed = 1, stop = [], signal, onText } = options;
  const { vocab } = model;
  const tokens = tokenise(prompt);
  const grammar = new Grammar(vocab);
  const given = promptIds(vocab, tokens);
  const writers = Array.from({ length: n }, (_, i) => new Writer(vocab, tokens, createRng(seed, 'candidate', i), stop));
  let active = [...writers.keys()];
  let position = take(
    model,
    await read(model, given, 1),
    active.map(() => 0),
  );
  while (active.length > 0 && !signal?.aborted) {
    const kept = active.filter((index, row) => {
      const writer = writers[index]!;
      const scores = position.scores.subarray(row * vocab.size, (row + 1) * vocab.size);
      step(writer, scores, grammar, given, options, maxTokens);
      const piece = writer.news();
      if (piece !== '') onText?.(index, piece);
      return writer.finishReason === undefined;
    });
    if (kept.length === 0) break;
    const rows = kept.map((index) => active.indexOf(index));
    const words = Int32Array.from(kept, (index) => writers[index]!.ids.at(-1)!);
    position = await read(model, words, kept.length, take(model, position, rows));
    active = kept;
  }
  for (const writer of writers) writer.spell();
  return writers.map(({ text, ids, finishReason = 'length' }) => ({ text, tokens: ids.length, finishReason }));
}

/** Chooses a text's next word. */
function step(
  writer: Writer,
  scores: Float32Array,
  grammar: Grammar,
  given: Int32Array,
  options: GenerateOptions,
  maxTokens: number,
): void {
  const seen = options.repetitionPenalty === undefined ? [] : [...given, ...writer.ids];
  const id = sampleWord(scores, options, writer.rng, { seen, banned: grammar.banned(writer.last, writer.isEmpty) });
  if (grammar.isEnd(id)) writer.finishReason = 'stop';
  else writer.add(id, options.onText !== undefined);
  if (writer.finishReason === undefined && writer.ids.length >= maxTokens) writer.finishReason = 'length';
}

export interface BeamOptions {
  readonly prompt?: string;
  /** Texts kept at every step; 10 when left out. */
  readonly beams?: number;
  /** Next words tried of each; 10 when left out. */
  readonly topK?: number;
  /** 40 when left out. */
  readonly maxTokens?: number;
}

export interface Beam {
  readonly text: string;
  /** Sum of log p of its tokens, its end among them. */
  readonly logProbability: number;
  readonly finished: boolean;
}

interface Path {
  readonly ids: readonly number[];
  readonly logProbability: number;
  /** Row of the position it goes on from. */
  readonly row: number;
  readonly finished: boolean;
}

/** beamSearch: the likeliest texts found by keeping `beams` of them at every step, the best by log p per token first. */
export async function beamSearch(model: OpenTextModel, options: BeamOptions = {}): Promise<readonly Beam[]> {
  const { prompt = '', beams = 10, topK = 10, maxTokens = 40 } = options;
  const { vocab } = model;
  const tokens = tokenise(prompt);
  const grammar = new Grammar(vocab);
  let position = await read(model, promptIds(vocab, tokens), 1);
  let paths: readonly Path[] = [{ ids: [], logProbability: 0, row: 0, finished: false }];
  for (let length = 0; length < maxTokens && paths.some(({ finished }) => !finished); length++) {
    const next = paths.flatMap((path) =>
      path.finished ? [path] : grown(path, position, vocab, grammar, tokens, topK),
    );
    const best = next.sort((a, b) => b.logProbability - a.logProbability).slice(0, beams);
    const open = best.filter(({ finished }) => !finished);
    paths = best;
    if (open.length === 0) break;
    const words = Int32Array.from(open, ({ ids }) => ids.at(-1)!);
    position = await read(
      model,
      words,
      open.length,
      take(
        model,
        position,
        open.map(({ row }) => row),
      ),
    );
    let row = 0;
    paths = best.map((path) => (path.finished ? path : { ...path, row: row++ }));
  }
  const perToken = ({ ids, logProbability }: Path): number => logProbability / Math.max(1, ids.length);
  const start = detokenise(tokens).length;
  return [...paths]
    .sort((a, b) => perToken(b) - perToken(a))
    .map(({ ids, logProbability, finished }) => {
      return { text: detokenise([...tokens, ...vocab.textify(ids)]).slice(start), logProbability, finished };
    });
}

/** A path with each of its `topK` likeliest next words. */
function grown(
  path: Path,
  { scores }: Position,
  vocab: Vocab,
  grammar: Grammar,
  prompt: readonly string[],
  topK: number,
): Path[] {
  const logP = logProbabilities(scores.subarray(path.row * vocab.size, (path.row + 1) * vocab.size));
  const last = path.ids.length > 0 ? vocab.words[path.ids.at(-1)!] : prompt.at(-1);
  for (const id of grammar.banned(last, prompt.length + path.ids.length === 0)) logP[id] = Number.NEGATIVE_INFINITY;
  const ids = [...logP.keys()].sort((a, b) => logP[b]! - logP[a]!).slice(0, topK);
  return ids.map((id) => {
    const finished = grammar.isEnd(id);
    const all = finished ? path.ids : [...path.ids, id];
    return { ids: all, logProbability: path.logProbability + logP[id]!, row: path.row, finished };
  });
}
