import { decodeImage } from '../../../client/local/codec.ts';
import { type HereTask, type PhotoJob, sectionOf } from '../../../client/local/task.ts';
import type { brightnessContract } from './contract.ts';
import { brightnessOf } from './infer.ts';

/** The photo's file -> how bright it is, 0..1. */
export const hereTask: HereTask<PhotoJob, number> = {
  run: async ({ job, model, onDevice }) => {
    const image = await decodeImage(job.file);
    const spec = sectionOf<typeof brightnessContract>(model, 'brightness');
    return onDevice(({ runAll }) => brightnessOf(image, spec, { run: runAll }));
  },
};
