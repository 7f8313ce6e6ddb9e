import type { ImageModelSpec } from '../../training/core/model-config.ts';
import { type RunPlanes, restoreImage } from '../../training/data/tiles.ts';
import type { Session } from '../../training/run/session.ts';
import { decode, encode } from '../images.ts';
import type { RestoreJob, RestoreResult } from './protocol.ts';

/**
 * runOf: a session and its contract -> the function that the tiler calls for each tile. The result is written into one
 * buffer that the next tile uses again, so that memory does not wait for the garbage collector.
 */
export function runOf(session: Session, spec: ImageModelSpec): RunPlanes {
  let output = new Float32Array(0);
  return async (planes, dims) => {
    const size = dims[1] * dims[2] * dims[3];
    if (output.length !== size) output = new Float32Array(size);
    const feeds = { [spec.inputName]: { dtype: 'float32', dims, data: planes.subarray(0, size) } } as const;
    await session.run(feeds, { [spec.outputName]: { dtype: 'float32', dims, data: output } });
    return output;
  };
}

/** restoreFile: file in, file out: decode, restore in tiles, encode, with the time of each. */
export async function restoreFile(
  job: RestoreJob,
  session: Session,
  spec: ImageModelSpec,
  options: { readonly signal: AbortSignal; readonly onProgress: (done: number, total: number) => void },
): Promise<RestoreResult> {
  const start = performance.now();
  const image = await decode(job.bytes);
  const decoded = performance.now();
  const tile = job.tile === undefined ? {} : { tile: job.tile };
  const restored = await restoreImage(image, job.query.scale, spec, runOf(session, spec), { ...options, ...tile });
  const computed = performance.now();
  const file = await encode(restored, job.info, job.query);
  const timings = { decode: decoded - start, model: computed - decoded, encode: performance.now() - computed };
  return { file, width: restored.width, height: restored.height, timings };
}
