import '../../training/run/environment.node.ts';
import { Worker } from 'node:worker_threads';
import { FettleError } from '../../training/core/errors.ts';
import { fromPlain } from '../errors.ts';
import { type FromWorker, type Question, transferable, type Work } from './worker/protocol.ts';

export interface LinkOptions {
  /** The thread's module, which calls `answerLink`. */
  readonly script: URL;
  readonly workerData: unknown;
  /** What the thread is called in errors and in the log. */
  readonly name: string;
  readonly log: { readonly warn: (details: object, message: string) => void };
  /** A thread has started, which holds nothing yet. */
  readonly onStart: () => void;
  /** The thread has ended, and with it what it held; `close` does not report this. */
  readonly onDeath?: () => void;
}

/** How long a thread may keep a question; then it is ended. */
export interface Patience {
  /** In all. */
  readonly timeoutMs?: number;
  /** Without anything being heard from it: its event loop hangs. */
  readonly silenceMs?: number;
}

export interface AskOptions<Event> extends Patience {
  /** When it is aborted, the thread is asked to stop; the answer still comes. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: Event) => void) | undefined;
}

/** The thread ended, by whatever cause, before it answered. */
export class WorkerDied extends FettleError {
  constructor(name: string, reason: string) {
    super('internal', `${name} died: ${reason}`);
  }
}

interface Asked<W extends Work> {
  readonly askedAt: number;
  readonly options: AskOptions<W['event']>;
  readonly resolve: (result: W['result'] | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** A worker thread that is asked questions; one that dies is replaced, after a pause that grows while they keep dying. */
export class WorkerLink<W extends Work> {
  readonly #options: LinkOptions;
  readonly #asked = new Map<number, Asked<W>>();
  readonly #watch: NodeJS.Timeout;
  #worker: Worker | undefined;
  #lastId = 0;
  #heardAt = 0;
  #deaths = 0;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#watch = setInterval(() => this.#checkAlive(), 1000).unref();
  }

  /** The thread; undefined before the start, and between its death and its replacement. */
  get thread(): object | undefined {
    return this.#worker;
  }

  /** Starts the thread where there is none. */
  start(): void {
    if (this.#closed || this.#worker !== undefined) return;
    const { script, workerData, onStart } = this.#options;
    const worker = new Worker(script, { workerData });
    const startedAt = performance.now();
    let reason = '';
    worker.on('message', (message: FromWorker<W>) => this.#receive(message));
    worker.on('error', (error) => {
      reason = String(error);
    });
    worker.on('exit', (code) => this.#replace(reason || `exit code ${code}`, performance.now() - startedAt));
    this.#worker = worker;
    onStart();
  }

  /** Sends a question and waits for its answer; throws {@link WorkerDied} where the thread ends before. */
  async ask(question: Question<W>, options: AskOptions<W['event']>): Promise<W['result'] | undefined> {
    const { signal } = options;
    const worker = this.#worker;
    if (worker === undefined) throw new WorkerDied(this.#options.name, 'it is not running');
    const id = ++this.#lastId;
    const askedAt = performance.now();
    this.#heardAt = askedAt;
    const answer = new Promise<W['result'] | undefined>((resolve, reject) => {
      worker.postMessage({ ...question, id }, question.type === 'run' ? transferable(question.job) : []);
      this.#asked.set(id, { askedAt, options, resolve, reject }); // not where the message cannot be sent
    });
    const cancel = (): void => worker.postMessage({ type: 'cancel', id });
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    return answer.finally(() => signal?.removeEventListener('abort', cancel));
  }

  /** Frees a model that nothing uses. */
  unload(key: string): void {
    this.#worker?.postMessage({ type: 'unload', key });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    await this.#worker?.terminate();
  }

  #receive(message: FromWorker<W>): void {
    this.#heardAt = performance.now();
    if (message.type === 'alive') return;
    if (message.type === 'events') {
      for (const { id, event } of message.events) this.#asked.get(id)?.options.onEvent?.(event);
      return;
    }
    const asked = this.#asked.get(message.id);
    this.#asked.delete(message.id);
    if (message.type === 'done') asked?.resolve(message.result);
    else asked?.reject(fromPlain(message.error));
  }

  #replace(reason: string, livedMs: number): void {
    const { name, log, onDeath } = this.#options;
    this.#worker = undefined;
    for (const { reject } of this.#asked.values()) reject(new WorkerDied(name, reason));
    this.#asked.clear();
    if (this.#closed) return;
    onDeath?.();
    log.warn({ reason }, `${name} died and is replaced`);
    this.#deaths = livedMs < 10_000 ? this.#deaths + 1 : 0;
    const pauseMs = this.#deaths === 0 ? 0 : Math.min(10_000, 50 * 2 ** this.#deaths);
    setTimeout(() => this.start(), pauseMs).unref();
  }

  #checkAlive(): void {
    const now = performance.now();
    const hangs = [...this.#asked.values()].some(
      ({ askedAt, options: { timeoutMs = Number.POSITIVE_INFINITY, silenceMs = Number.POSITIVE_INFINITY } }) =>
        now - askedAt > timeoutMs || now - this.#heardAt > silenceMs,
    );
    if (hangs) void this.#worker?.terminate();
  }
}
