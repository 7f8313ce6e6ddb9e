import { decodeImage } from '../../client/local/codec.ts';
import type { TaskRun } from '../../client/local/engine.ts';
import type { ClassifyJob } from '../../client/local/jobs.ts';
import { specOf } from '../../client/local/model-source.ts';
import { classifyInput, type LabelProbability, topLabels } from './infer.ts';

/** classifyHere: the photo's file -> the `top` likeliest labels, likeliest first. */
export async function classifyHere(run: TaskRun<ClassifyJob>): Promise<readonly LabelProbability[]> {
  const { job, model, onDevice, tell } = run;
  const spec = specOf(model, 'classify');
  const input = classifyInput(await decodeImage(job.file), spec);
  tell({ phase: 'run' });
  const probabilities = await onDevice((running) => running.run(spec.inputName, input, spec.outputName));
  return topLabels(probabilities, spec.classes, job.top);
}
