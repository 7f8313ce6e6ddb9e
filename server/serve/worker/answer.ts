import { parentPort, workerData } from 'node:worker_threads';
import { ensure } from '../../../training/core/errors.ts';
import type { Session } from '../../../training/run/session.ts';
import { toPlain } from '../../errors.ts';
import { lowerPriority } from './priority.ts';
import {
  type FromWorker,
  type Keyed,
  type KeyedModel,
  type ToWorker,
  transferable,
  type WorkerSettings,
} from './protocol.ts';

/** What a job listens to, and whom it reports to where anyone asked for events. */
export interface Hooks<Event> {
  readonly signal: AbortSignal;
  readonly emit: ((event: Event) => void) | undefined;
}

/** What is particular to the threads of a kind: how a model is opened and tried out, and how a job is done with it. */
export interface WorkerParts<
  Model extends KeyedModel,
  Opened extends { readonly session: Session },
  Job extends Keyed,
  Result extends object,
  Event,
> {
  open(model: Model): Promise<Opened>;
  run(job: Job, model: Opened, hooks: Hooks<Event>): Promise<Result>;
}

/** answerLink: what a worker thread does with the messages of its link, until it is ended. */
export function answerLink<
  Model extends KeyedModel,
  Opened extends { readonly session: Session },
  Job extends Keyed,
  Result extends object,
  Event,
>(parts: WorkerParts<Model, Opened, Job, Result, Event>): void {
  const port = parentPort;
  ensure(port !== null, 'internal', () => 'answerLink: expected to be called in a worker thread');
  lowerPriority((workerData as WorkerSettings).niceness);
  const models = new Map<string, Promise<Opened>>();
  const running = new Map<number, AbortController>();
  let events: { readonly id: number; readonly event: Event }[] = [];
  const send = (message: FromWorker<Result, Event>, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);

  /** All events of one step in one message. */
  const flush = (): void => {
    if (events.length > 0) send({ type: 'events', events });
    events = [];
  };

  async function load(model: Model): Promise<undefined> {
    // Versions never change, and this one may be in use.
    const opened = models.get(model.key) ?? parts.open(model);
    models.set(model.key, opened);
    await opened.catch((error: unknown) => {
      models.delete(model.key);
      throw error;
    });
  }

  async function unload(key: string): Promise<void> {
    const model = models.get(key);
    models.delete(key);
    await (await model)?.session.release();
  }

  async function run(id: number, job: Job, listens: boolean): Promise<Result> {
    const controller = new AbortController();
    running.set(id, controller);
    const emit = (event: Event): void => {
      if (events.length === 0) setImmediate(flush);
      events.push({ id, event });
    };
    try {
      const model = await models.get(job.key);
      ensure(model !== undefined, 'internal', () => `answerLink: expected ${job.key} to be loaded, got no such model`);
      return await parts.run(job, model, { signal: controller.signal, emit: listens ? emit : undefined });
    } finally {
      running.delete(id);
    }
  }

  async function answer(id: number, work: Promise<Result | undefined>): Promise<void> {
    try {
      const result = await work;
      flush(); // the last ones before the end
      if (result === undefined) send({ type: 'done', id });
      else send({ type: 'done', id, result }, transferable(result));
    } catch (error) {
      send({ type: 'failed', id, error: toPlain(error) });
    }
  }

  port.on('message', (message: ToWorker<Model, Job>) => {
    if (message.type === 'load') void answer(message.id, load(message.model));
    else if (message.type === 'run') void answer(message.id, run(message.id, message.job, message.events));
    else if (message.type === 'unload') void unload(message.key);
    else running.get(message.id)?.abort();
  });
  setInterval(() => send({ type: 'alive' }), 1000).unref();
}
