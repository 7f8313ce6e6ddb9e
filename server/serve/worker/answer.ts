import { parentPort, workerData } from 'node:worker_threads';
import { ensure } from '../../../training/core/errors.ts';
import type { Session } from '../../../training/run/session.ts';
import { toPlain } from '../../errors.ts';
import { lowerPriority } from './priority.ts';
import { type FromWorker, type ToWorker, transferable, type Work, type WorkerSettings } from './protocol.ts';

/** What is particular to the workers of a pool: how a model is opened and tried out, and how a job is done with it. */
export interface WorkerParts<W extends Work, Opened extends { readonly session: Session }> {
  open(model: W['model']): Promise<Opened>;
  /** `emit` is there where anyone listens. */
  run(job: W['job'], model: Opened, signal: AbortSignal, emit?: (event: W['event']) => void): Promise<W['result']>;
}

/** answerLink: what a worker thread does with the messages of its link, until it is ended. */
export function answerLink<W extends Work, Opened extends { readonly session: Session }>(
  parts: WorkerParts<W, Opened>,
): void {
  const port = parentPort;
  ensure(port !== null, 'internal', () => 'answerLink: expected to be called in a worker thread');
  lowerPriority((workerData as WorkerSettings).niceness);
  const models = new Map<string, Promise<Opened>>();
  const running = new Map<number, AbortController>();
  let events: { readonly id: number; readonly event: W['event'] }[] = [];
  const send = (message: FromWorker<W>, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

  /** All events of one step in one message. */
  const flush = (): void => {
    if (events.length > 0) send({ type: 'events', events });
    events = [];
  };

  async function load(model: W['model']): Promise<undefined> {
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
    await (await model?.catch(() => undefined))?.session.release();
  }

  async function run(id: number, job: W['job'], listens: boolean): Promise<W['result']> {
    const controller = new AbortController();
    running.set(id, controller);
    const emit = (event: W['event']): void => {
      if (events.length === 0) setImmediate(flush);
      events.push({ id, event });
    };
    try {
      const model = await models.get(job.key);
      ensure(model !== undefined, 'internal', () => `answerLink: expected ${job.key} to be loaded, got no such model`);
      return await parts.run(job, model, controller.signal, listens ? emit : undefined);
    } finally {
      running.delete(id);
    }
  }

  async function answer(id: number, work: Promise<W['result'] | undefined>): Promise<void> {
    try {
      const result = await work;
      flush(); // the last ones before the end
      if (result === undefined) send({ type: 'done', id });
      else send({ type: 'done', id, result }, transferable(result));
    } catch (error) {
      send({ type: 'failed', id, error: toPlain(error) });
    }
  }

  port.on('message', (message: ToWorker<W>) => {
    if (message.type === 'load') void answer(message.id, load(message.model));
    else if (message.type === 'run') void answer(message.id, run(message.id, message.job, message.events));
    else if (message.type === 'unload') void unload(message.key);
    else running.get(message.id)?.abort();
  });
  setInterval(() => send({ type: 'alive' }), 1000).unref();
}
