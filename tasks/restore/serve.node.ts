import { checkOutput, decode, encode } from '../../server/serve/images.ts';
import type { FileResult, JobHooks, JobOf, TaskRow } from '../../server/serve/task.ts';
import { type RunPlanes, restoreImage } from '../../training/pictures/tiles.ts';
import type { Session } from '../../training/run/session.ts';
import { specOf } from '../config.ts';
import type { ImageModelSpec } from '../pictures.ts';
import { restoreContract } from './contract.ts';

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

/** Decode, restore in tiles, encode, with the time of each. */
async function run(
  { bytes, info, query }: JobOf<'restore'>,
  session: Session,
  spec: ImageModelSpec,
  hooks: JobHooks,
): Promise<FileResult> {
  const start = performance.now();
  const image = await decode(bytes);
  const decoded = performance.now();
  const restored = await restoreImage(image, query.scale, spec, runOf(session, spec), hooks);
  const computed = performance.now();
  const file = await encode(restored, info, query);
  const timings = { decode: decoded - start, model: computed - decoded, encode: performance.now() - computed };
  return { file, width: restored.width, height: restored.height, timings };
}

export const restoreTask: TaskRow<'restore'> = {
  specOf: (config) => specOf(restoreContract, config),
  check: checkOutput,
  trialDims: ({ multipleOf }) => {
    const side = multipleOf * Math.ceil(32 / multipleOf);
    return { input: [1, 3, side, side], output: [1, 3, side, side] };
  },
  run,
};
