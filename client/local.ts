import type { CallOptions } from './api.ts';
import type { FromWorker, ToWorker } from './local/jobs.ts';
import type { AnyHereTask, DoneHere, JobOf, PieceOf, ResultOf } from './local/task.ts';

/** What did not work out on this device; `code` as in docs/reference/errors.md. */
export class LocalError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'LocalError';
    this.code = code;
  }
}

export interface LocalOptions<T extends AnyHereTask> extends CallOptions {
  /** Called with every piece of a result as it comes, where the task has such. */
  readonly onPiece?: (piece: PieceOf<T>) => void;
}

export interface LocalRunner<T extends AnyHereTask> {
  /** Works in a worker, one job at a time; an abort ends the worker, since a model's run cannot be stopped inside. */
  run(job: JobOf<T>, options?: LocalOptions<T>): Promise<DoneHere<ResultOf<T>>>;
}

/** createLocalRunner: runs the served models of a task in this browser. Nothing of it is downloaded before it is needed. */
export function createLocalRunner<T extends AnyHereTask>(task: string): LocalRunner<T> {
  let worker: Worker | undefined;
  const start = (): Worker =>
    new Worker(new URL('./local/worker.ts', import.meta.url), { type: 'module', name: 'fettle' });
  const end = (): void => {
    worker?.terminate();
    worker = undefined;
  };
  return {
    run: async (job, options = {}) => {
      const { signal, model } = options;
      signal?.throwIfAborted();
      worker ??= start();
      const ended = new AbortController();
      try {
        const signals = AbortSignal.any([ended.signal, ...(signal ? [signal] : [])]);
        const message = { task, job, ...(model === undefined ? {} : { model }) };
        return await converse<T>(worker, message, { ...options, signal: signals });
      } catch (error) {
        const fine = error instanceof LocalError && error.code !== 'internal';
        if (!fine) end(); // it is at work still, or broken: the next job gets a fresh one
        throw error;
      } finally {
        ended.abort();
      }
    },
  };
}

/** Sends the job, relays progress, and settles with the answer. Its listeners live as long as `signal` is not aborted. */
function converse<T extends AnyHereTask>(
  worker: Worker,
  message: ToWorker,
  { signal, onProgress, onPiece }: LocalOptions<T> & { readonly signal: AbortSignal },
): Promise<DoneHere<ResultOf<T>>> {
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
        else if (data.kind === 'piece') onPiece?.(data.piece as PieceOf<T>);
        else if (data.kind === 'done') resolve(data.done as DoneHere<ResultOf<T>>);
        else reject(new LocalError(data.code, data.message));
      },
      { signal },
    );
    worker.postMessage(message);
  });
}

/** A worker that cannot even start gives an event without a message. */
const whatBroke = (event: Event): string =>
  event instanceof ErrorEvent && event.message !== ''
    ? event.message
    : 'The part of the page that runs models on this device could not be loaded. Reload the page when you are online.';
