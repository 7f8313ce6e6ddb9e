import { decode } from '../../server/serve/images.ts';
import type { JobOf, LabelsResult, TaskRow } from '../../server/serve/task.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { Session } from '../../training/run/session.ts';
import { specOf } from '../config.ts';
import type { ClassifyModelSpec } from './contract.ts';
import { classifyContract } from './contract.ts';
import { classifyInput, topLabels } from './infer.ts';

/** Decode, run, the likeliest labels, with the time of each. */
async function run(
  { bytes, query }: JobOf<'classify'>,
  session: Session,
  spec: ClassifyModelSpec,
): Promise<LabelsResult> {
  const start = performance.now();
  const image = await decode(bytes);
  const decoded = performance.now();
  const results = await session.run({ [spec.inputName]: classifyInput(image, spec) });
  const computed = performance.now();
  const labels = topLabels(results[spec.outputName] as Tensor<'float32'>, spec.classes, query.top);
  const timings = { decode: decoded - start, model: computed - decoded, encode: performance.now() - computed };
  return { labels, timings };
}

export const classifyTask: TaskRow<'classify'> = {
  specOf: (config) => specOf(classifyContract, config),
  check: () => undefined,
  trialDims: ({ width, height, classes }) => ({ input: [1, 3, height, width], output: [1, classes.length] }),
  run,
};
