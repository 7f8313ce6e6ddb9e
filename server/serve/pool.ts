import '../../training/run/environment.node.ts';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FettleError } from '../../training/core/errors.ts';
import type { Device } from '../../training/run/session.ts';
import { fromPlain, RequestError } from '../errors.ts';
import type { JobOf, PictureJob, PictureResult, PictureTask, ResultOf } from './task.ts';
import {
  type FromWorker,
  type ToWorker,
  transferable,
  type WorkerModel,
  type WorkerSettings,
} from './worker/protocol.ts';

export interface PoolOptions extends WorkerSettings {
  /** Worker threads, each of which works on one picture at a time. */
  readonly workers: number;
  /** Requests that may be in the house (uploading, waiting or running) before more are sent away. */
  readonly capacity: number;
  /** After this long a job is given up and its worker replaced. */
  readonly jobTimeoutMs: number;
  readonly log: { readonly warn: (details: object, message: string) => void };
  /** The worker's script; another one only in tests. */
  readonly script?: URL;
}

export interface JobOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** The worker ended, by whatever cause, before it answered. */
class WorkerDied extends FettleError {
  constructor(reason: string) {
    super('internal', `a worker died: ${reason}`);
  }
}

interface Entry {
  readonly job: PictureJob;
  readonly options: JobOptions;
  readonly queuedAt: number;
  readonly resolve: (result: PictureResult & Waited) => void;
  readonly reject: (error: Error) => void;
}

interface Waited {
  /** Milliseconds that the job waited for a worker. */
  readonly queueMs: number;
}

export type PoolResult<T extends PictureTask> = ResultOf<T> & Waited;

const defaultScript = new URL('./worker/main.js', import.meta.url);

export interface PoolChoices {
  readonly log: PoolOptions['log'];
  readonly device?: Device;
  readonly workers?: number;
  /** 16 more than workers when not given. */
  readonly capacity?: number;
  readonly workerScript?: URL;
}

/** Threads of ONNX Runtime in each of so many workers. */
export function threadsOf(workers: number): number {
  const cores = availableParallelism();
  return Math.min(cores, Math.ceil((2 * cores) / workers));
}

/**
 * createPool: two workers at least, so that a large photo does not stop everyone; each may use all cores when it is
 * alone, and all of them yield to the thread that serves HTTP. On WebGPU it is one: ONNX Runtime's provider keeps one
 * device per process, and running it from two threads at once ends the process.
 */
export function createPool(choices: PoolChoices): Pool {
  const wanted = choices.workers ?? Math.max(2, Math.floor(availableParallelism() / 4));
  const workers = choices.device === 'webgpu' ? 1 : wanted;
  return new Pool({
    workers,
    capacity: choices.capacity ?? workers + 16,
    device: choices.device ?? 'cpu',
    threads: threadsOf(workers),
    niceness: 10,
    jobTimeoutMs: 15 * 60_000,
    log: choices.log,
    ...(choices.workerScript === undefined ? {} : { script: choices.workerScript }),
  });
}

/** Worker threads, the models that they hold, and the queue in front of them. */
export class Pool {
  readonly #options: PoolOptions;
  readonly #members: Member[] = [];
  readonly #models = new Map<string, WorkerModel>();
  readonly #waiting: Entry[] = [];
  #admitted = 0;
  #averageMs = 1000;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    for (let i = 0; i < options.workers; i++) this.#hire(0);
  }

  /** Takes a place for one request, before its body is read; 503 when all are taken. Returns how to give it back. */
  admit(): () => void {
    if (this.#admitted >= this.#options.capacity) {
      const seconds = Math.ceil((this.#averageMs * this.#admitted) / this.#options.workers / 1000);
      const retry = Math.min(60, Math.max(1, seconds));
      throw new RequestError(
        503,
        'busy',
        `the queue is full (${this.#options.capacity} requests); try again in ${retry} s`,
        retry,
      );
    }
    this.#admitted++;
    let held = true;
    return () => {
      if (held) this.#admitted--;
      held = false;
    };
  }

  /** Loads a model in every worker; throws the first reason where one cannot, and then none keeps it. */
  async load(model: WorkerModel): Promise<void> {
    this.#models.set(model.key, model); // a worker hired from now on loads it too
    const outcomes = await Promise.allSettled(this.#members.map((member) => member.load(model)));
    const failures = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    const reason = failures.find((error) => !(error instanceof WorkerDied)) ?? failures[0];
    // A worker that died meanwhile is replaced by one that has the model; what counts is that the model loads.
    if (reason === undefined || (reason instanceof WorkerDied && failures.length < outcomes.length)) return;
    this.unload(model.key);
    throw reason;
  }

  /** Forgets a model; no job may be waiting for it. */
  unload(key: string): void {
    this.#models.delete(key);
    for (const member of this.#members) member.post({ type: 'unload', key });
  }

  get size(): number {
    return this.#options.workers;
  }

  /** Requests that hold a place. */
  get admitted(): number {
    return this.#admitted;
  }

  /** Whether a job for this model waits or runs. */
  isUsing(key: string): boolean {
    return [...this.#waiting, ...this.#members.map((member) => member.job)].some((one) => one?.job.key === key);
  }

  /** Does a job on the next free worker; the signal takes it out of the queue or stops it between two tiles. */
  async run<T extends PictureTask>(job: JobOf<T>, options: JobOptions = {}): Promise<PoolResult<T>> {
    // A job and its result belong to one task, which a list of jobs of all tasks cannot say.
    return (await this.#enqueue(job as PictureJob, options)) as PoolResult<T>;
  }

  #enqueue(job: PictureJob, options: JobOptions): Promise<PictureResult & Waited> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new RequestError(503, 'draining', 'the server is shutting down'));
      const entry: Entry = { job, options, resolve, reject, queuedAt: performance.now() };
      this.#waiting.push(entry);
      if (options.signal?.aborted) return this.#cancel(entry);
      options.signal?.addEventListener('abort', () => this.#cancel(entry), { once: true });
      this.#dispatch();
    });
  }

  /** Ends the workers; jobs that still wait or run are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0))
      reject(new RequestError(503, 'draining', 'the server is shutting down'));
    await Promise.all(this.#members.map((member) => member.end()));
  }

  #dispatch(): void {
    for (const member of this.#members) {
      if (this.#waiting.length === 0) return;
      if (member.isFree) void this.#runOn(member, this.#waiting.shift()!);
    }
  }

  async #runOn(member: Member, entry: Entry): Promise<void> {
    const start = performance.now();
    try {
      const result = await member.run(entry, this.#options.jobTimeoutMs);
      const took = performance.now() - start;
      this.#averageMs = 0.8 * this.#averageMs + 0.2 * took;
      entry.resolve({ ...result, queueMs: start - entry.queuedAt });
    } catch (error) {
      entry.reject(error as Error);
    }
    this.#dispatch();
  }

  #cancel(entry: Entry): void {
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) this.#waiting.splice(at, 1);
    for (const member of this.#members) if (member.job === entry) member.cancel();
    entry.reject(new RequestError(499, 'cancelled', 'the client went away'));
  }

  /** Starts a worker and gives it every model; one that dies is replaced, after a pause that grows while they keep dying. */
  #hire(failures: number): void {
    const { device, threads, niceness, log } = this.#options;
    const hiredAt = performance.now();
    const worker = new Worker(this.#options.script ?? defaultScript, { workerData: { device, threads, niceness } });
    const member = new Member(worker, (reason) => {
      this.#members.splice(this.#members.indexOf(member), 1);
      if (this.#closed) return;
      const again = performance.now() - hiredAt < 10_000 ? failures + 1 : 0;
      log.warn({ reason }, 'a worker died and is replaced');
      setTimeout(() => this.#closed || this.#hire(again), again === 0 ? 0 : Math.min(10_000, 50 * 2 ** again)).unref();
    });
    this.#members.push(member);
    void this.#equip(member);
  }

  async #equip(member: Member): Promise<void> {
    try {
      await Promise.all([...this.#models.values()].map((model) => member.load(model)));
      member.ready = true;
      this.#dispatch();
    } catch (error) {
      this.#options.log.warn({ reason: String(error) }, 'a new worker could not load the models');
      await member.end();
    }
  }
}

const loadTimeoutMs = 120_000;

/** One worker thread and what it is doing. */
class Member {
  /** Whether it has every model. */
  ready = false;
  job: Entry | undefined;
  readonly #worker: Worker;
  readonly #answers = new Map<number, { resolve: (result?: PictureResult) => void; reject: (error: Error) => void }>();
  #lastId = 0;
  #lastRun = 0;
  #dead = false;

  constructor(worker: Worker, onDeath: (reason: string) => void) {
    this.#worker = worker;
    let reason = '';
    worker.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => {
      reason = String(error);
    });
    worker.on('exit', (code) => {
      this.#dead = true;
      const error = new WorkerDied(reason || `exit code ${code}`);
      for (const { reject } of this.#answers.values()) reject(error);
      this.#answers.clear();
      onDeath(error.message);
    });
  }

  get isFree(): boolean {
    return this.ready && !this.#dead && this.job === undefined;
  }

  post(message: ToWorker): void {
    const upload = message.type === 'run' ? transferable(message.job.bytes) : [];
    this.#worker.postMessage(message, upload);
  }

  async load(model: WorkerModel): Promise<void> {
    await this.#ask(loadTimeoutMs, (id) => ({ type: 'load', id, model }));
  }

  async run(entry: Entry, timeoutMs: number): Promise<PictureResult> {
    this.job = entry;
    try {
      const result = await this.#ask(timeoutMs, (id) => ({ type: 'run', id, job: entry.job }));
      if (result === undefined) throw new FettleError('internal', 'a worker answered without a result');
      return result;
    } finally {
      this.job = undefined;
    }
  }

  /** Asks the worker to stop its job before the next tile. */
  cancel(): void {
    this.post({ type: 'cancel', id: this.#lastRun });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Sends a question and waits for its answer; a worker that gives none in time is ended. */
  #ask(timeoutMs: number, message: (id: number) => ToWorker): Promise<PictureResult | undefined> {
    const id = ++this.#lastId;
    const timer = setTimeout(() => void this.#worker.terminate(), timeoutMs).unref();
    const answer = new Promise<PictureResult | undefined>((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
    });
    const question = message(id);
    if (question.type === 'run') this.#lastRun = id;
    this.post(question);
    return answer.finally(() => clearTimeout(timer));
  }

  #receive(message: FromWorker): void {
    if (message.type === 'progress') {
      this.job?.options.onProgress?.(message.done, message.total);
      return;
    }
    const waiting = this.#answers.get(message.id);
    this.#answers.delete(message.id);
    if (message.type === 'done') waiting?.resolve(message.result);
    else waiting?.reject(fromPlain(message.error));
  }
}
