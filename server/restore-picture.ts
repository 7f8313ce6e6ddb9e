import type { OutputFormat, RestoreQuery } from './contract.ts';
import { keyOf } from './host.ts';
import { checkOutput, inspect, outputFormat, type PictureInfo } from './images.ts';
import type { JobOptions, Pool, PoolResult } from './pool.ts';
import type { ModelVersion } from './store.ts';

export interface RestoredPicture {
  readonly result: PoolResult;
  readonly info: PictureInfo;
  readonly format: OutputFormat;
  /** NAME@VERSION of the model that did it. */
  readonly key: string;
}

/**
 * restorePicture: a file's bytes -> the restored file; the one path of the server and of the command line. `loaded` is
 * asked after the headers are checked, so that the version is the one that serves when the job enters the queue.
 */
export async function restorePicture(
  pool: Pool,
  loaded: () => ModelVersion,
  bytes: Uint8Array,
  query: RestoreQuery,
  options: JobOptions = {},
): Promise<RestoredPicture> {
  const info = await inspect(bytes);
  checkOutput(info, query);
  const key = keyOf(loaded());
  const result = await pool.restore({ key, bytes, info, query }, options);
  return { result, info, format: outputFormat(info, query), key };
}
