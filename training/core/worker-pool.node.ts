import { availableParallelism, getPriority, setPriority } from 'node:os';
import { parentPort, type TransferListItem, Worker } from 'node:worker_threads';
import { type ErrorCode, FettleError, messageOf } from './errors.ts';

/** Threads that each do one task at a time; tasks wait in the order they were given. */
export interface WorkerPool<Task, Result> {
  /** Hands the task to the next free thread; `transfer` moves buffers there without copying. */
  run(task: Task, transfer?: readonly ArrayBuffer[]): Promise<Result>;
  /** Ends the threads; tasks that are not finished are rejected. */
  close(): Promise<void>;
}

interface Job<Task, Result> {
  readonly task: Task;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** Classes do not survive the way between threads, so an error travels as its parts. */
interface SentError {
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

type Reply<Result> = { readonly result: Result } | { readonly error: SentError };

const packError = (error: unknown): SentError => ({
  code: error instanceof FettleError ? error.code : undefined,
  message: messageOf(error),
});

const unpackError = ({ code, message }: SentError): Error =>
  code === undefined ? new Error(message) : new FettleError(code, message);

/** createWorkerPool: `count` threads of the module at `url`, which calls {@link serveTasks}; `workerData` goes to each. */
export function createWorkerPool<Task, Result>(
  url: URL,
  count = availableParallelism(),
  workerData?: unknown,
): WorkerPool<Task, Result> {
  const waiting: Job<Task, Result>[] = [];
  const running = new Map<Worker, Job<Task, Result> | undefined>();
  let closed: Error | undefined;

  const next = (worker: Worker): void => {
    const job = waiting.shift();
    running.set(worker, job);
    if (job !== undefined) worker.postMessage(job.task, job.transfer as TransferListItem[]);
    // An idle thread does not keep the process alive; a busy one does.
    if (job === undefined) worker.unref();
    else worker.ref();
  };
  const failAll = (error: Error): void => {
    closed ??= error;
    for (const job of [...running.values(), ...waiting.splice(0)]) job?.reject(error);
    running.clear();
  };
  for (let i = 0; i < count; i++) {
    const worker = new Worker(url, { workerData });
    worker.on('message', (reply: Reply<Result>) => {
      const job = running.get(worker);
      if ('error' in reply) job?.reject(unpackError(reply.error));
      else job?.resolve(reply.result);
      if (closed === undefined) next(worker);
    });
    worker.on('error', failAll);
    worker.on('exit', (code) =>
      failAll(new Error(`worker pool: expected the thread to continue, it ended with code ${code}`)),
    );
    worker.unref();
    running.set(worker, undefined);
  }
  const workers = [...running.keys()];
  return {
    run: (task, transfer = []) =>
      new Promise((resolve, reject) => {
        if (closed !== undefined) return reject(closed);
        waiting.push({ task, transfer, resolve, reject });
        const idle = workers.find((worker) => running.get(worker) === undefined);
        if (idle !== undefined) next(idle);
      }),
    close: async () => {
      failAll(new Error('worker pool: closed'));
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** A task's result, and buffers in it that move to the caller without copying. */
export interface TaskResult<Result> {
  readonly result: Result;
  readonly transfer?: readonly ArrayBuffer[];
}

/** serveTasks: called once in a pool's thread; answers each task with what `handle` returns or throws. */
export function serveTasks<Task, Result>(handle: (task: Task) => Promise<TaskResult<Result>>, niceness = 0): void {
  const port = parentPort;
  if (port === null) return;
  // On Linux priorities belong to threads, so this one yields to model runs and the main thread keeps its own.
  // (Only downwards: the system refuses to raise one.)
  if (process.platform === 'linux' && niceness > 0) setPriority(Math.min(19, getPriority() + niceness));
  port.on('message', async (task: Task) => {
    try {
      const { result, transfer = [] } = await handle(task);
      port.postMessage({ result }, transfer as TransferListItem[]);
    } catch (error) {
      port.postMessage({ error: packError(error) });
    }
  });
}
