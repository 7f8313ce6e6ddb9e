import '../../../training/run/environment.node.ts';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FettleError } from '../../../training/core/errors.ts';
import type { Device } from '../../../training/run/session.ts';
import { fromPlain, RequestError } from '../../errors.ts';
import { keyOf, type ModelHolders } from '../host.ts';
import type { FromWriter, TextJob, TextPiece, TextResult, ToWriter } from './protocol.ts';

export interface TextWriterOptions {
  readonly log: { readonly warn: (details: object, message: string) => void };
  readonly device?: Device;
  /** Texts that are written at the same time; 32 when not given. */
  readonly rows?: number;
  /** Requests that are being answered or wait; 64 when not given. */
  readonly capacity?: number;
  /** Steps by which the thread yields to the one that serves HTTP, 0..19; 10 when not given. */
  readonly niceness?: number;
  /** The worker's script; another one only in tests. */
  readonly script?: URL;
}

export interface WriteOptions {
  readonly signal?: AbortSignal;
  readonly onPiece?: (piece: TextPiece) => void;
}

interface Question {
  readonly key: string;
  readonly onPiece: ((piece: TextPiece) => void) | undefined;
  readonly resolve: (result?: TextResult) => void;
  readonly reject: (error: Error) => void;
}

const silenceMs = 60_000;

/**
 * The thread that writes texts, in which all requests share one batch, the models it holds, and the queue in front of it. On WebGPU it stays on the CPU:
 * the pool of pictures has that device, which two threads cannot share.
 */
export class TextWriter {
  readonly #options: TextWriterOptions;
  readonly #capacity: number;
  readonly #models = new Map<string, Uint8Array>();
  /** Models that the thread which took another one's place could not load yet. */
  readonly #lost = new Set<string>();
  readonly #questions = new Map<number, Question>();
  #worker: Worker | undefined;
  #lastId = 0;
  #admitted = 0;
  #averageMs = 1000;
  #heardAt = 0;
  #deaths = 0;
  #closed = false;
  readonly #watch: NodeJS.Timeout;

  constructor(options: TextWriterOptions) {
    this.#options = options;
    this.#capacity = options.capacity ?? 64;
    this.#watch = setInterval(() => this.#checkAlive(), 5000).unref();
  }

  /** Requests that hold a place. */
  get admitted(): number {
    return this.#admitted;
  }

  /** Whether a request for this model waits or is written. */
  isUsing(key: string): boolean {
    return [...this.#questions.values()].some((question) => question.key === key);
  }

  /** Takes a place for one request, before its body is read; 503 when all are taken. Returns how to give it back. */
  admit(): () => void {
    if (this.#admitted >= this.#capacity) {
      const retry = Math.min(60, Math.max(1, Math.ceil(this.#averageMs / 1000)));
      const text = `the queue is full (${this.#capacity} requests); try again in ${retry} s`;
      throw new RequestError(503, 'busy', text, retry);
    }
    this.#admitted++;
    let held = true;
    return () => {
      if (held) this.#admitted--;
      held = false;
    };
  }

  /** Loads a model; the thread is started for the first one. */
  async load(key: string, model: Uint8Array): Promise<void> {
    if (this.#worker === undefined) this.#start();
    await this.#ask(key, (id) => ({ type: 'load', id, key, model }));
    this.#models.set(key, model);
    this.#lost.delete(key);
  }

  /** Forgets a model; no request may be using it. */
  unload(key: string): void {
    this.#models.delete(key);
    this.#lost.delete(key);
    this.#post({ type: 'unload', key });
  }

  /** Writes texts; when the signal is aborted, they leave the batch before the next token, and this rejects once they have. */
  async write(job: TextJob, { signal, onPiece }: WriteOptions = {}): Promise<TextResult> {
    if (this.#closed) throw new RequestError(503, 'draining', 'the server is shutting down');
    if (this.#lost.has(job.key))
      throw new RequestError(503, 'not-ready', `${job.key} could not be loaded again yet; the log says why`, 5);
    const start = performance.now();
    const pieces = onPiece !== undefined;
    let asked = 0;
    const answer = this.#ask(
      job.key,
      (id) => {
        asked = id;
        return { type: 'write', id, job, pieces };
      },
      onPiece,
    );
    const cancel = (): void => this.#post({ type: 'cancel', id: asked });
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const result = await answer;
      if (signal?.aborted) throw new RequestError(499, 'cancelled', 'the client went away');
      if (result === undefined) throw new FettleError('internal', 'the thread that writes answered without texts');
      this.#averageMs = 0.8 * this.#averageMs + 0.2 * (performance.now() - start);
      return result;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Ends the thread; requests that are still there are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    this.#rejectAll(new RequestError(503, 'draining', 'the server is shutting down'));
    await this.#worker?.terminate();
  }

  #post(message: ToWriter): void {
    this.#worker?.postMessage(message);
  }

  #ask(key: string, message: (id: number) => ToWriter, onPiece?: (piece: TextPiece) => void) {
    const id = ++this.#lastId;
    this.#heardAt = performance.now();
    if (this.#worker === undefined)
      return Promise.reject(new RequestError(503, 'not-ready', 'the thread that writes is starting again', 1));
    return new Promise<TextResult | undefined>((resolve, reject) => {
      this.#questions.set(id, { key, onPiece, resolve, reject });
      this.#post(message(id));
    });
  }

  #receive(message: FromWriter): void {
    this.#heardAt = performance.now();
    if (message.type === 'alive') return;
    if (message.type === 'pieces') {
      for (const { id, ...piece } of message.pieces) this.#questions.get(id)?.onPiece?.(piece);
      return;
    }
    const question = this.#questions.get(message.id);
    this.#questions.delete(message.id);
    if (message.type === 'done') question?.resolve(message.result);
    else question?.reject(fromPlain(message.error));
  }

  /** The thread, without models; when it dies it is replaced, after a pause that grows while it keeps dying. */
  #hire(): Worker {
    const { device, rows = 32, niceness = 10, script, log } = this.#options;
    const settings = {
      device: device === 'cuda' ? device : 'cpu',
      threads: availableParallelism(),
      niceness,
      rows,
    };
    const worker = new Worker(script ?? new URL('./worker.js', import.meta.url), { workerData: settings });
    const hiredAt = performance.now();
    let reason = '';
    worker.on('message', (message: FromWriter) => this.#receive(message));
    worker.on('error', (error) => {
      reason = String(error);
    });
    worker.on('exit', (code) => {
      if (this.#closed) return;
      this.#worker = undefined;
      this.#rejectAll(new FettleError('internal', `the thread that writes died: ${reason || `exit code ${code}`}`));
      this.#deaths = performance.now() - hiredAt < 10_000 ? this.#deaths + 1 : 0;
      log.warn({ reason: reason || code }, 'the thread that writes died and is replaced');
      setTimeout(() => this.#replace(), Math.min(10_000, 50 * 2 ** this.#deaths)).unref();
    });
    return worker;
  }

  #replace(): void {
    if (!this.#closed && this.#worker === undefined) this.#start();
  }

  /** Starts the thread and gives it every model. */
  #start(): void {
    this.#worker = this.#hire();
    this.#lost.clear();
    for (const key of this.#models.keys()) void this.#reload(key, this.#worker);
  }

  /** Again and again while this thread is there: what did not fit into memory may later. */
  async #reload(key: string, worker: Worker, pauseMs = 250): Promise<void> {
    const model = this.#models.get(key);
    if (model === undefined || this.#closed || this.#worker !== worker) return;
    try {
      await this.#ask(key, (id) => ({ type: 'load', id, key, model }));
      this.#lost.delete(key);
    } catch (error) {
      if (this.#worker !== worker || this.#models.get(key) !== model) return;
      this.#lost.add(key);
      this.#options.log.warn(
        { model: key, reason: String(error) },
        'the new thread that writes could not load a model; it tries again',
      );
      setTimeout(() => void this.#reload(key, worker, Math.min(30_000, 2 * pauseMs)), pauseMs).unref();
    }
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#questions.values()) reject(error);
    this.#questions.clear();
  }

  /** A thread from which nothing has been heard for long, while there is something to do, hangs. */
  #checkAlive(): void {
    if (this.#questions.size > 0 && performance.now() - this.#heardAt > silenceMs) void this.#worker?.terminate();
  }
}

/** textHolders: the thread that writes for models of the task text. */
export const textHolders = (writer: TextWriter): ModelHolders => ({
  text: {
    load: async (version, read) => writer.load(keyOf(version), await read('model.onnx')),
    unload: (key) => writer.unload(key),
    isUsing: (key) => writer.isUsing(key),
  },
});
