import { decodeImage } from '../../client/local/codec.ts';
import { type HereTask, type PhotoJob, sectionOf } from '../../client/local/task.ts';
import type { classifyContract } from './contract.ts';
import { classifyInput, type LabelProbability, topLabels } from './infer.ts';

interface ClassifyJob extends PhotoJob {
  readonly top: number;
}

/** The photo's file -> the `top` most likely labels, most likely first. */
export const hereTask: HereTask<ClassifyJob, readonly LabelProbability[]> = {
  run: async ({ job, model, onDevice, report }) => {
    const spec = sectionOf<typeof classifyContract>(model, 'classify');
    const input = classifyInput(await decodeImage(job.file), spec);
    report({ phase: 'run' });
    const probabilities = await onDevice(({ run }) => run(spec.inputName, input, spec.outputName));
    return topLabels(probabilities, spec.classes, job.top);
  },
};
