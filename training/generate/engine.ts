import { ensure } from '../core/errors.ts';
import { createRng, mostSeed } from '../core/rng.ts';
import { tokenise } from '../text/tokenise.ts';
import { checkSampling, type SampleOptions, WordSampler, type WordScores } from './sample.ts';
import { type OpenTextModel, type RowState, TextRows } from './text-rows.ts';
import { type FinishReason, Grammar, promptIds, Writer } from './writer.ts';

export interface GenerateOptions extends SampleOptions {
  /** What the text begins with; '' by default. */
  readonly prompt?: string;
  /** Candidates, written together; 1 by default. */
  readonly n?: number;
  /** Tokens at most; 60 by default. */
  readonly maxTokens?: number;
  /** 0..2^32-1. The same seed gives the same text; 1 by default. Candidate i is the same whatever n, and whatever is written beside it. */
  readonly seed?: number;
  /** The text ends before any of these. */
  readonly stop?: readonly string[];
  /** Ends the work after the token that is being made; the texts are what there is until then. */
  readonly signal?: AbortSignal;
  /** Receives every piece of text as it comes, the tokens so far, and with the last piece, which may be '', why it ended. A piece in which a `stop` may begin waits for the next. */
  readonly onText?: (candidate: number, piece: string, tokens: number, finishReason?: FinishReason) => void;
}

export interface Candidate {
  /** What follows the prompt; without a space before it where the prompt ends in one. */
  readonly text: string;
  readonly tokens: number;
  /** `stop`: the text came to its end or to a stop; `length`: to maxTokens. */
  readonly finishReason: FinishReason;
}

export interface TextEngineOptions {
  /** Texts that are written at the same time at most; 32 by default. Further ones wait for their turn. */
  readonly rows?: number;
  /** Is waited for between two steps: where runs do not let other work in between (WebAssembly), messages can so arrive. */
  readonly pause?: () => Promise<void>;
}

/** One call of {@link TextEngine.write}. */
interface Job {
  readonly options: GenerateOptions;
  /** The prompt's ids after xxbos, and how many of them have been read. */
  readonly prompt: Int32Array;
  read: number;
  state: RowState | undefined;
  readonly writers: readonly Writer[];
  readonly resolve: (candidates: readonly Candidate[]) => void;
  readonly reject: (error: unknown) => void;
  /** Its onText threw: it leaves before the next step. */
  failed: boolean;
}

/** A text of the batch: row i of the states is that of entry i. */
interface Row {
  readonly job: Job;
  readonly candidate: number;
  readonly writer: Writer;
  /** The word that the model reads next. */
  word: number;
}

/** Words of prompts that are read at once; texts that are being written wait so long at most. */
const windowLength = 16;

function checkRequest(options: GenerateOptions, rows: number): void {
  for (const [name, least, most] of [
    ['n', 1, rows],
    ['maxTokens', 1, Number.MAX_SAFE_INTEGER],
    ['seed', 0, mostSeed],
  ] as const) {
    const value = options[name] ?? 1;
    ensure(Number.isInteger(value) && value >= least && value <= most, 'bad-argument', () => {
      return `generateText: expected a whole ${name} in ${least}..${most}, got ${value}`;
    });
  }
  ensure(!options.stop?.includes(''), 'bad-argument', () => "generateText: expected stop strings, got ''; omit it");
  checkSampling(options);
}

/**
 * Writes many texts in one batch, each step one token of every text. Requests join and leave between steps: prompts are read in windows, so that the
 * others do not wait long, and a text that ends, or whose signal is aborted, makes room at once.
 */
export class TextEngine {
  readonly #model: OpenTextModel;
  readonly #most: number;
  readonly #pause: (() => Promise<void>) | undefined;
  readonly #grammar: Grammar;
  readonly #sampler: WordSampler;
  readonly #batch: TextRows;
  readonly #window: TextRows;
  #rows: Row[] = [];
  /** Jobs without a place yet, and those whose prompt is being read. */
  #waiting: Job[] = [];
  #reading: Job[] = [];
  #working = false;

  constructor(model: OpenTextModel, { rows = 32, pause }: TextEngineOptions = {}) {
    [this.#model, this.#most, this.#pause] = [model, rows, pause];
    this.#grammar = new Grammar(model.vocab);
    this.#sampler = new WordSampler(model.vocab.size);
    this.#batch = new TextRows(model);
    this.#window = new TextRows(model);
  }

  /** Texts that are being written or have a place. */
  get busy(): number {
    return this.#rows.length + this.#reading.reduce((sum, { writers }) => sum + writers.length, 0);
  }

  /** Whether anything is left to do. */
  get idle(): boolean {
    return this.busy === 0 && this.#waiting.length === 0;
  }

  /** Writes texts that continue where the prompt ends. Throws `bad-argument`, and what the session throws. */
  async write(options: GenerateOptions = {}): Promise<readonly Candidate[]> {
    checkRequest(options, this.#most);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...this.#begin(options), resolve, reject, failed: false });
      if (!this.#working) void this.#work();
    });
  }

  #begin(options: GenerateOptions): Omit<Job, 'resolve' | 'reject' | 'failed'> {
    const { prompt = '', n = 1, maxTokens = 60, seed = 1, stop = [], repetitionPenalty = 1 } = options;
    const { vocab } = this.#model;
    const tokens = tokenise(prompt);
    const rules = { prompt, stop, maxTokens, remember: repetitionPenalty !== 1 };
    const writers = Array.from({ length: n }, (_, i) => {
      return new Writer(vocab, this.#grammar, tokens, createRng(seed, 'candidate', i), rules);
    });
    return { options, prompt: promptIds(vocab, tokens), read: 0, state: undefined, writers };
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      while (!this.idle) {
        this.#dropAborted();
        this.#admit();
        if (this.#reading.length > 0) await this.#readPrompts();
        if (this.#rows.length > 0) await this.#step();
        await this.#pause?.();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#working = false;
    }
  }

  #dropAborted(): void {
    const isAborted = ({ options, failed }: Job): boolean => failed || options.signal?.aborted === true;
    const gone = new Set([...this.#waiting, ...this.#reading, ...this.#rows.map(({ job }) => job)].filter(isAborted));
    if (gone.size === 0) return;
    this.#waiting = this.#waiting.filter((job) => !gone.has(job));
    this.#reading = this.#reading.filter((job) => !gone.has(job));
    this.#removeRows(({ job }) => gone.has(job));
    for (const job of gone) job.resolve(candidatesOf(job));
  }

  /** In the order in which they came: one that asks for many texts is not overtaken for ever. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.busy + next.writers.length > this.#most) return;
      this.#reading.push(next);
      this.#waiting.shift();
    }
  }

  /** One window of a prompt, and of all others that have as long a one to read; lengths are powers of two, so that few shapes occur. */
  async #readPrompts(): Promise<void> {
    const windowOf = ({ prompt, read }: Job): number =>
      Math.min(windowLength, 2 ** Math.floor(Math.log2(prompt.length - read)));
    const length = windowOf(this.#reading[0]!);
    const jobs = this.#reading.filter((job) => windowOf(job) === length);
    const words = new Int32Array(jobs.length * length);
    this.#window.clear();
    for (const [i, { prompt, read, state }] of jobs.entries()) {
      words.set(prompt.subarray(read, read + length), i * length);
      this.#window.add(state);
    }
    await this.#window.read(words, temperaturesOf(jobs));
    for (const [i, job] of jobs.entries()) {
      job.read += length;
      job.state = this.#window.state(i);
      if (job.read === job.prompt.length) this.#start(job, i);
    }
  }

  /** The first word of every text of a job whose prompt has been read. */
  #start(job: Job, row: number): void {
    this.#reading = this.#reading.filter((one) => one !== job);
    for (const [candidate, writer] of job.writers.entries()) {
      const word = this.#next(job, candidate, copyOf(this.#window.result(row)));
      if (writer.finishReason !== undefined) continue;
      this.#rows.push({ job, candidate, writer, word });
      this.#batch.add(job.state);
    }
    finishIfDone(job);
  }

  async #step(): Promise<void> {
    const rows = this.#rows;
    await this.#batch.read(
      Int32Array.from(rows, ({ word }) => word),
      temperaturesOf(rows.map(({ job }) => job)),
    );
    for (const [i, row] of rows.entries()) row.word = this.#next(row.job, row.candidate, this.#batch.result(i));
    for (const { job } of this.#removeRows(({ writer }) => writer.finishReason !== undefined)) finishIfDone(job);
  }

  /** Chooses the next word of a text and reports it. */
  #next(job: Job, candidate: number, scores: WordScores): number {
    const writer = job.writers[candidate]!;
    const word = this.#sampler.choose(scores, job.options, writer.rng, writer.rules);
    writer.add(word);
    if (job.options.onText !== undefined && !job.failed) this.#report(job, candidate, job.options.onText);
    return word;
  }

  /** What a listener throws is of its request alone. */
  #report(job: Job, candidate: number, onText: NonNullable<GenerateOptions['onText']>): void {
    const writer = job.writers[candidate]!;
    const piece = writer.news();
    if (piece === '' && writer.finishReason === undefined) return;
    try {
      onText(candidate, piece, writer.tokens, writer.finishReason);
    } catch (error) {
      job.failed = true;
      job.reject(error);
    }
  }

  /** From the end, so that the row that takes the place of one that goes has been looked at. */
  #removeRows(goes: (row: Row) => boolean): Row[] {
    const gone: Row[] = [];
    for (let i = this.#rows.length - 1; i >= 0; i--) {
      if (!goes(this.#rows[i]!)) continue;
      gone.push(this.#rows[i]!);
      this.#batch.remove(i);
      const last = this.#rows.pop()!;
      if (i < this.#rows.length) this.#rows[i] = last;
    }
    return gone;
  }

  #fail(error: unknown): void {
    const jobs = new Set([...this.#waiting, ...this.#reading, ...this.#rows.map(({ job }) => job)]);
    [this.#waiting, this.#reading, this.#rows] = [[], [], []];
    this.#batch.clear();
    for (const job of jobs) job.reject(error);
  }
}

/** The graph's probabilities belong to a temperature; at 0 the most likely word needs none. */
const temperaturesOf = (jobs: readonly Job[]): Float32Array =>
  Float32Array.from(jobs, ({ options }) => options.temperature || 1);

/** For each candidate its own: the sampler writes into them. */
const copyOf = ({ scores, probabilities }: WordScores): WordScores => ({
  scores: scores.slice(),
  ...(probabilities && { probabilities: probabilities.slice() }),
});

function candidatesOf({ writers }: Job): readonly Candidate[] {
  return writers.map(({ text, tokens, finishReason = 'length' }) => ({ text, tokens, finishReason }));
}

function finishIfDone(job: Job): void {
  if (job.writers.every(({ finishReason }) => finishReason !== undefined)) job.resolve(candidatesOf(job));
}
