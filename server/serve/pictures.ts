import { pictureTasks } from '../../tasks/served.ts';
import type { ModelVersion } from '../store/store.ts';
import { keyOf } from './host.ts';
import { inspect, type PictureInfo } from './images.ts';
import type { JobOptions, Pool, PoolResult } from './pool.ts';
import type { PictureTask, QueryOf, TaskRow } from './task.ts';

export interface PictureAnswer<T extends PictureTask> {
  readonly result: PoolResult<T>;
  readonly info: PictureInfo;
  /** NAME@VERSION of the model that did it. */
  readonly key: string;
}

/** What to do with a picture. */
export interface PictureRequest<T extends PictureTask> {
  readonly task: T;
  readonly bytes: Uint8Array;
  readonly query: QueryOf<T>;
}

/**
 * runPicture: a file's bytes -> the task's answer; the one path of the server and of the command line. `loaded` is
 * asked after the headers are checked, so that the version is the one that serves when the job enters the queue.
 */
export async function runPicture<T extends PictureTask>(
  pool: Pool,
  loaded: () => ModelVersion,
  { task, bytes, query }: PictureRequest<T>,
  options: JobOptions = {},
): Promise<PictureAnswer<T>> {
  const info = await inspect(bytes);
  const row: TaskRow<T> = pictureTasks[task];
  row.check(info, query);
  const key = keyOf(loaded());
  const result = await pool.run({ task, key, bytes, info, query }, options);
  return { result, info, key };
}
