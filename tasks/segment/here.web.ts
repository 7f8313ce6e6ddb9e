import { decodeImage } from '../../client/local/codec.ts';
import type { TaskRun } from '../../client/local/engine.ts';
import type { PhotoJob, Segmented } from '../../client/local/jobs.ts';
import { specOf } from '../../client/local/model-source.ts';
import { segmentPicture } from './infer.ts';

/** segmentHere: the photo's file -> the class of every pixel of the upright picture. */
export async function segmentHere({ job, model, onDevice, tell }: TaskRun<PhotoJob>): Promise<Segmented> {
  const spec = specOf(model, 'segment');
  const image = await decodeImage(job.file);
  const onProgress = (done: number, total: number): void => tell({ phase: 'run', fraction: done / total });
  const { width, height, data } = await onDevice(({ run }) => {
    tell({ phase: 'run' });
    return segmentPicture(image, spec, (input) => run(spec.inputName, input, spec.outputName), { onProgress });
  });
  return { width, height, ids: data, classes: spec.classes };
}
