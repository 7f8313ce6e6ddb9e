import { decodeImage, encodeImage, ensureOutputFits } from '../../client/local/codec.ts';
import type { TaskRun } from '../../client/local/engine.ts';
import type { RestoreJob } from '../../client/local/jobs.ts';
import { specOf } from '../../client/local/model-source.ts';
import { sniffFormat } from '../../client/local/sniff.ts';
import { tensor } from '../../training/core/tensor.ts';
import { restoreImage } from '../../training/pictures/tiles.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import type { ImageModelSpec } from '../pictures.ts';

/** The server's. */
const defaultQuality = 90;

/** restoreHere: the photo's file -> the restored picture's, `scale` times its size. */
export async function restoreHere({ job, model, onDevice, tell }: TaskRun<RestoreJob>): Promise<Blob> {
  const { file, scale, quality = defaultQuality } = job;
  const spec = specOf(model, 'image');
  const image = await decodeImage(file);
  ensureOutputFits(image, scale);
  const pixels = await onDevice(({ device, run }) =>
    restoreImage(
      image,
      scale,
      spec,
      async (data, dims) => (await run(spec.inputName, tensor('float32', dims, data), spec.outputName)).data,
      { ...tileOn(device, spec), onProgress: (done, total) => tell({ phase: 'run', fraction: done / total }) },
    ),
  );
  tell({ phase: 'encode' });
  return encodeImage(pixels, job.format ?? (await sniffFormat(file)), quality);
}

/** WebGL spreads every convolution's input out in one texture, nine times as large and more: so tiles are smaller there. */
function tileOn(device: WebDevice, { halo, multipleOf }: ImageModelSpec): { readonly tile?: number } {
  if (device !== 'webgl') return {};
  return { tile: Math.max(512, Math.ceil((4 * halo) / multipleOf) * multipleOf) };
}
