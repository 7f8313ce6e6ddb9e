import type { Progress } from './api.ts';
import type { LocalJob, RestoredHere } from './local/engine.ts';
import type { FromWorker } from './local/messages.ts';

/** A restoration on this device that did not work out; `code` as in docs/errors.md. */
export class LocalError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'LocalError';
    this.code = code;
  }
}

export interface LocalRestorer {
  /** Restores in a worker, one picture at a time; an abort ends the worker, since a model's run cannot be stopped inside. */
  restore(job: LocalJob, signal?: AbortSignal, onProgress?: (progress: Progress) => void): Promise<RestoredHere>;
}

/** createLocalRestorer: runs the served model in this browser. Nothing of it is downloaded before it is needed. */
export function createLocalRestorer(): LocalRestorer {
  let worker: Worker | undefined;
  const start = (): Worker =>
    new Worker(new URL('./local/worker.ts', import.meta.url), { type: 'module', name: 'fettle' });
  const end = (): void => {
    worker?.terminate();
    worker = undefined;
  };
  return {
    restore: async (job, signal, onProgress) => {
      signal?.throwIfAborted();
      worker ??= start();
      const ended = new AbortController();
      try {
        return await converse(worker, job, AbortSignal.any([ended.signal, ...(signal ? [signal] : [])]), onProgress);
      } catch (error) {
        const fine = error instanceof LocalError && error.code !== 'internal';
        if (!fine) end(); // it is at work still, or broken: the next picture gets a fresh one
        throw error;
      } finally {
        ended.abort();
      }
    },
  };
}

/** Sends the job, relays progress, and settles with the answer. Its listeners live as long as `signal` is not aborted. */
function converse(
  worker: Worker,
  job: LocalJob,
  signal: AbortSignal,
  onProgress: ((progress: Progress) => void) | undefined,
): Promise<RestoredHere> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const listen = (type: 'error' | 'messageerror'): void =>
      worker.addEventListener(type, (event) => reject(new LocalError('internal', whatBroke(event))), { signal });
    listen('error');
    listen('messageerror');
    worker.addEventListener(
      'message',
      ({ data }: MessageEvent<FromWorker>) => {
        if (data.kind === 'progress') onProgress?.(data.progress);
        else if (data.kind === 'done') resolve(data.restored);
        else reject(new LocalError(data.code, data.message));
      },
      { signal },
    );
    worker.postMessage(job);
  });
}

/** A worker that cannot even start gives an event without a message. */
const whatBroke = (event: Event): string =>
  event instanceof ErrorEvent && event.message !== ''
    ? event.message
    : 'The part of the page that restores on this device could not be loaded. Reload the page when you are online.';
