import type { ImageModelSpec } from '../../training/core/model-config.ts';
import { type RunPlanes, restoreImage } from '../../training/data/tiles.ts';
import type { Session } from '../../training/run/session.ts';
import { decode, encode } from '../images.ts';
import type { RestoreJob, RestoreResult } from './protocol.ts';

/** runOf: a session and its contract -> the function that the tiler calls for each tile. */
export function runOf(session: Session, spec: ImageModelSpec): RunPlanes {
  return async (planes, dims) => {
    const size = dims[1] * dims[2] * dims[3];
    const results = await session.run({ [spec.inputName]: { dtype: 'float32', dims, data: planes.subarray(0, size) } });
    return results[spec.outputName]?.data as Float32Array;
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
