import type { Image } from '../../training/core/image.ts';
import { type RestoreOptions, type RunPlanes, restoreImage } from '../../training/pictures/tiles.ts';
import type { Scale } from '../../training/pictures/transforms/pixels.ts';
import type { Session } from '../../training/run/session.ts';
import type { ImageModelSpec } from '../pictures.ts';

/**
 * runOf: a session and its contract -> the function that the tiler calls for each tile. The result is written into one
 * buffer that the next tile uses again, so that memory does not wait for the garbage collector.
 */
export function runOf(session: Pick<Session, 'run'>, spec: ImageModelSpec): RunPlanes {
  let output = new Float32Array(0);
  return async (planes, dims) => {
    const size = dims[1] * dims[2] * dims[3];
    if (output.length !== size) output = new Float32Array(size);
    const feeds = { [spec.inputName]: { dtype: 'float32', dims, data: planes.subarray(0, size) } } as const;
    await session.run(feeds, { [spec.outputName]: { dtype: 'float32', dims, data: output } });
    return output;
  };
}

/** restorePicture: a picture u8 -> the restored picture, `scale` times its size, 3 channels or 4 where it has alpha. */
export const restorePicture = (
  image: Image,
  scale: Scale,
  spec: ImageModelSpec,
  session: Pick<Session, 'run'>,
  options: RestoreOptions = {},
): Promise<Image> => restoreImage(image, scale, spec, runOf(session, spec), options);
