import { availableParallelism } from 'node:os';
import { specOf } from '../../tasks/config.ts';
import { imagesOf, type QueryOf, type TaskContract } from '../../tasks/task.ts';
import { ensure } from '../../training/core/errors.ts';
import type { Device } from '../../training/run/session.ts';
import type { ModelVersion } from '../store/store.ts';
import { inspect } from './images.ts';
import { type JobOptions, Pool, type PoolOptions } from './pool.ts';
import type { PictureAnswer, PictureFile, PictureJob, PictureResult, ServedPictureTask } from './task.ts';
import type { KeyedModel, Work, WorkerSettings } from './worker/protocol.ts';

/** Tiles that are done, and all there are. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** A model as it goes to the workers, with how it is fed. */
export interface PictureModel extends KeyedModel {
  readonly task: string;
  readonly spec: unknown;
}

export interface PictureSettings extends WorkerSettings {
  /** Address of the module with the table of tasks. */
  readonly tasks: string;
}

export interface PictureWork extends Work {
  readonly model: PictureModel;
  readonly job: PictureJob;
  readonly result: PictureResult;
  readonly event: Progress;
}

export type PicturePool = Pool<PictureWork>;

export interface PicturePoolChoices {
  readonly log: PoolOptions['log'];
  /** The module with the table of tasks (`servedTasks`); fettle's own by default. */
  readonly tasks?: URL | undefined;
  readonly device?: Device | undefined;
  readonly workers?: number | undefined;
  /** 16 more than workers by default. */
  readonly capacity?: number | undefined;
  /** The worker's script; another one only in tests. */
  readonly workerScript?: URL | undefined;
}

/** fettle's own table of tasks. */
export const ownTasks = new URL('../../tasks/served.js', import.meta.url);

/** Threads of ONNX Runtime in each of so many workers. */
export function threadsOf(workers: number): number {
  const cores = availableParallelism();
  return Math.min(cores, Math.ceil((2 * cores) / workers));
}

/**
 * createPicturePool: two workers at least, so that a large photo does not stop everyone; each may use all cores when it is
 * alone, and all of them yield to the thread that serves HTTP. On WebGPU it is one: ONNX Runtime's provider keeps one
 * device per process, and running it from two threads at once ends the process.
 */
export function createPicturePool(choices: PicturePoolChoices): PicturePool {
  const { device = 'cpu', tasks = ownTasks, log } = choices;
  const wanted = choices.workers ?? Math.max(2, Math.floor(availableParallelism() / 4));
  const workers = device === 'webgpu' ? 1 : wanted;
  const workerData: PictureSettings = { device, threads: threadsOf(workers), niceness: 10, tasks: tasks.href };
  return new Pool({
    name: 'a worker',
    script: choices.workerScript ?? new URL('./worker/pictures.js', import.meta.url),
    workerData,
    workers,
    atOnce: 1,
    capacity: choices.capacity ?? workers + 16,
    patience: { timeoutMs: 15 * 60_000 },
    log,
  });
}

export const keyOf = ({ config }: ModelVersion): string => `${config.name}@${config.version}`;

/** pictureModel: a version and its model.onnx -> what a worker loads. Throws `bad-model` where the version is of another task. */
export const pictureModel = (contract: TaskContract, version: ModelVersion, model: Uint8Array): PictureModel => ({
  task: contract.name,
  key: keyOf(version),
  model,
  spec: specOf(contract, version.config),
});

/**
 * runPicture: the bytes of the files of a task's inputs, by name -> its answer; the one path of the server and of the command line. `loaded` is
 * asked after the headers are checked, so that the version is the one that serves when the job enters the queue.
 */
export async function runPicture<C extends TaskContract, Result extends PictureResult>(
  pool: PicturePool,
  task: ServedPictureTask<C, Result>,
  loaded: () => ModelVersion,
  { files, query }: { readonly files: Readonly<Record<string, Uint8Array>>; readonly query: QueryOf<C> },
  options: JobOptions<Progress> = {},
): Promise<PictureAnswer<Result>> {
  const inspected: Record<string, PictureFile> = {};
  for (const [name, bytes] of Object.entries(files)) inspected[name] = { bytes, info: await inspect(bytes, name) };
  const first = inspected[imagesOf(task.contract)[0]?.name ?? ''];
  ensure(first !== undefined, 'internal', () => `runPicture: expected the first picture of ${task.contract.name}`);
  const { info } = first;
  task.check?.(info, query);
  const key = keyOf(loaded());
  const result = await pool.run({ key, ...first, files: inspected, query }, options);
  // Its worker found the row of the table by the task of the model.
  return { result: result as typeof result & Result, info, key };
}
