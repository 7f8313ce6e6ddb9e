import { decodeImage } from '../../client/local/codec.ts';
import { type HereTask, type PhotoJob, sectionOf } from '../../client/local/task.ts';
import type { SegmentClass, segmentContract } from './contract.ts';
import { segmentPicture } from './infer.ts';

/** A class of every pixel of the upright picture. */
export interface Segmented {
  readonly width: number;
  readonly height: number;
  /** u8[height width]: places in `classes`. */
  readonly ids: Uint8Array;
  readonly classes: readonly SegmentClass[];
}

/** The photo's file -> the class of every pixel of the upright picture. */
export const hereTask: HereTask<PhotoJob, Segmented> = {
  run: async ({ job, model, onDevice, report }) => {
    const spec = sectionOf<typeof segmentContract>(model, 'segment');
    const image = await decodeImage(job.file);
    const onProgress = (done: number, total: number): void => report({ phase: 'run', fraction: done / total });
    const { width, height, data } = await onDevice(({ run }) => {
      report({ phase: 'run' });
      return segmentPicture(image, spec, (input) => run(spec.inputName, input, spec.outputName), { onProgress });
    });
    return { width, height, ids: data, classes: spec.classes };
  },
};
