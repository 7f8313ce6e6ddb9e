import { ensure, FettleError } from '../../training/core/errors.ts';
import { RequestError } from '../errors.ts';
import { Admission, draining } from './admission.ts';
import type { Work, WorkerSettings } from './worker/protocol.ts';
import { type LinkOptions, type Patience, WorkerDied, WorkerLink } from './worker-link.ts';

export interface PoolOptions extends Omit<LinkOptions, 'onStart' | 'onDeath'> {
  readonly workerData: WorkerSettings;
  readonly workers: number;
  /** Jobs that each worker does at the same time. */
  readonly atOnce: number;
  /** Requests that may be uploading, waiting or running before more are sent away. */
  readonly capacity: number;
  /** After how long a job is given up and its worker replaced. */
  readonly patience: Patience;
}

export interface JobOptions<Event> {
  /** Takes the job out of the queue, or asks its worker to stop; `run` rejects once the worker has. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: Event) => void) | undefined;
}

export interface Waited {
  /** Milliseconds that the job waited for a worker. */
  readonly queueMs: number;
}

interface Entry<W extends Work> {
  readonly job: W['job'];
  readonly options: JobOptions<W['event']>;
  readonly queuedAt: number;
  readonly resolve: (result: W['result'] & Waited) => void;
  readonly reject: (error: Error) => void;
}

/** A worker, the models that its present thread has and those whose requests it no longer keeps waiting, and what it is doing. */
interface Member<W extends Work> {
  readonly link: WorkerLink<W>;
  readonly loaded: Set<string>;
  readonly lost: Set<string>;
  readonly running: Set<Entry<W>>;
}

const loadTimeoutMs = 120_000;

/** How long requests wait for a thread to be replaced by one that has their model. */
const replacementMs = 5000;

/** Worker threads, the models that they hold, and the queue in front of them. The threads start with the first model. */
export class Pool<W extends Work> {
  /** The places of the requests whose jobs come here. */
  readonly admission: Admission;
  readonly #options: PoolOptions;
  readonly #members: readonly Member<W>[];
  readonly #models = new Map<string, W['model']>();
  readonly #waiting = new Set<Entry<W>>();
  #closed = false;

  constructor(options: PoolOptions) {
    const { workers, atOnce, capacity } = options;
    this.#options = options;
    this.admission = new Admission(capacity, workers * atOnce);
    this.#members = Array.from({ length: workers }, () => {
      const link = new WorkerLink<W>({
        ...options,
        onStart: () => this.#equip(member),
        onDeath: () => this.#miss(member),
      });
      const member: Member<W> = { link, loaded: new Set(), lost: new Set(), running: new Set() };
      return member;
    });
  }

  get size(): number {
    return this.#members.length;
  }

  /** Loads a model in every worker; throws the first reason where one cannot, and then none keeps it. */
  async load(model: W['model']): Promise<void> {
    for (const { link } of this.#members) link.start();
    this.#models.set(model.key, model); // a thread that starts from now on loads it too
    const outcomes = await Promise.allSettled(this.#members.map((member) => this.#give(member, model)));
    const failures = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    const reason = failures.find((error) => !(error instanceof WorkerDied)) ?? failures[0];
    // A thread that died meanwhile is replaced by one that has the model; what counts is that the model loads.
    if (reason === undefined || (reason instanceof WorkerDied && failures.length < outcomes.length)) return;
    this.unload(model.key);
    throw reason;
  }

  /** Forgets a model; no job may be using it. */
  unload(key: string): void {
    this.#models.delete(key);
    for (const { link, loaded, lost } of this.#members) {
      loaded.delete(key);
      lost.delete(key);
      link.unload(key);
    }
  }

  /** Whether a job for this model waits or runs. */
  isUsing(key: string): boolean {
    return [this.#waiting, ...this.#members.map(({ running }) => running)].some((entries) =>
      [...entries].some(({ job }) => job.key === key),
    );
  }

  /** Does a job, for a model that is loaded, on the next free worker. */
  run(job: W['job'], options: JobOptions<W['event']> = {}): Promise<W['result'] & Waited> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw draining();
      ensure(this.#models.has(job.key), 'internal', () => `Pool: expected ${job.key} to be loaded, got no such model`);
      const entry = { job, options, resolve, reject, queuedAt: performance.now() };
      this.#waiting.add(entry);
      const leave = (): void => {
        if (this.#waiting.delete(entry)) reject(cancelled());
      };
      if (options.signal?.aborted) leave();
      options.signal?.addEventListener('abort', leave, { once: true });
      this.#dispatch();
    });
  }

  /** Ends the workers; jobs that still wait or run are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting) reject(draining());
    this.#waiting.clear();
    await Promise.all(this.#members.map(({ link }) => link.close()));
  }

  #dispatch(): void {
    for (const entry of this.#waiting) {
      const { key } = entry.job;
      const free = this.#members.find(
        ({ link, loaded, running }) => link.thread && loaded.has(key) && running.size < this.#options.atOnce,
      );
      const isLost = this.#members.every(({ lost }) => lost.has(key));
      if (free === undefined && !isLost) continue;
      this.#waiting.delete(entry);
      if (free !== undefined) void this.#runOn(free, entry);
      else {
        const text = `${key} could not be loaded again yet; the log has the reason`;
        entry.reject(new RequestError('not-ready', text, { retryAfterSeconds: 5 }));
      }
    }
  }

  async #runOn({ link, running }: Member<W>, entry: Entry<W>): Promise<void> {
    const { job, options, queuedAt } = entry;
    const start = performance.now();
    running.add(entry);
    try {
      const question = { type: 'run', job, events: options.onEvent !== undefined } as const;
      const result = await link.ask(question, { ...options, ...this.#options.patience });
      if (result === undefined) throw new FettleError('internal', `${this.#options.name} answered without a result`);
      options.signal?.throwIfAborted();
      this.admission.took(performance.now() - start);
      entry.resolve({ ...result, queueMs: start - queuedAt });
    } catch (error) {
      const isEnd = this.#closed && error instanceof WorkerDied;
      entry.reject(options.signal?.aborted ? cancelled() : isEnd ? draining() : (error as Error));
    }
    running.delete(entry);
    this.#dispatch();
  }

  async #give({ link, loaded, lost }: Member<W>, model: W['model']): Promise<void> {
    await link.ask({ type: 'load', model }, { timeoutMs: loadTimeoutMs });
    loaded.add(model.key);
    lost.delete(model.key);
    this.#dispatch();
  }

  /** A thread that dies before it has loaded a model may do so again: nobody waits for that. */
  #miss({ loaded, lost }: Member<W>): void {
    const lose = (keys: readonly string[]): void => {
      for (const key of keys) if (this.#models.has(key) && !loaded.has(key)) lost.add(key);
      this.#dispatch();
    };
    const had = [...loaded];
    loaded.clear();
    lose([...this.#models.keys()].filter((key) => !had.includes(key)));
    setTimeout(lose, replacementMs, had).unref();
  }

  /** Gives a new thread every model. */
  #equip(member: Member<W>): void {
    for (const model of this.#models.values()) void this.#giveAgain(member, model);
  }

  /** Again and again while this thread is there: what did not fit into memory may later. */
  async #giveAgain(member: Member<W>, model: W['model'], pauseMs = 250): Promise<void> {
    const { thread } = member.link;
    const isOver = (): boolean => member.link.thread !== thread || this.#models.get(model.key) !== model;
    await this.#give(member, model).catch((error: unknown) => {
      if (isOver()) return;
      const { name, log } = this.#options;
      log.warn({ model: model.key, reason: String(error) }, `${name} could not load a model; it tries again`);
      member.lost.add(model.key);
      this.#dispatch();
      const again = (): void => void (isOver() || this.#giveAgain(member, model, Math.min(30_000, 2 * pauseMs)));
      setTimeout(again, pauseMs).unref();
    });
  }
}

const cancelled = (): RequestError => new RequestError('cancelled', 'the client went away');
