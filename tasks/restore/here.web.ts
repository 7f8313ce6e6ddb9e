import type { WebDevice } from '../../client/devices.ts';
import { decodeImage, encodeImage, ensureOutputFits } from '../../client/local/codec.ts';
import { sniffFormat } from '../../client/local/sniff.ts';
import { type HereTask, type PhotoJob, sectionOf } from '../../client/local/task.ts';
import type { Scale } from '../../training/pictures/transforms/pixels.ts';
import type { ImageModelSpec, OutputFormat } from '../pictures.ts';
import type { restoreContract } from './contract.ts';
import { restorePicture } from './infer.ts';

interface RestoreJob extends PhotoJob {
  readonly scale: Scale;
  readonly format?: OutputFormat;
  readonly quality?: number;
}

/** The server's. */
const defaultQuality = 90;

/** The photo's file -> the restored picture's, `scale` times its size. */
export const hereTask: HereTask<RestoreJob, Blob> = {
  run: async ({ job, model, onDevice, report }) => {
    const { file, scale, quality = defaultQuality } = job;
    const spec = sectionOf<typeof restoreContract>(model, 'image');
    const image = await decodeImage(file);
    ensureOutputFits(image, scale);
    const onProgress = (done: number, total: number): void => report({ phase: 'run', fraction: done / total });
    const pixels = await onDevice(({ device, runAll }) =>
      restorePicture(image, scale, spec, { run: runAll }, { ...tileOn(device, spec), onProgress }),
    );
    report({ phase: 'encode' });
    return encodeImage(pixels, job.format ?? (await sniffFormat(file)), quality);
  },
};

/** WebGL spreads every convolution's input out in one texture, nine times as large and more: so tiles are smaller there. */
function tileOn(device: WebDevice, { halo, multipleOf }: ImageModelSpec): { readonly tile?: number } {
  if (device !== 'webgl') return {};
  return { tile: Math.max(512, Math.ceil((4 * halo) / multipleOf) * multipleOf) };
}
