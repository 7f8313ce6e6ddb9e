import { ensure } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { Confusion } from '../../training/learner/metrics.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { type ClassReport, classificationReport, topClass } from '../../training/report/interpret.ts';
import type { ClassifyModelSpec } from './contract.ts';
import type { ClassItem } from './data.node.ts';
import { classifyInput } from './infer.ts';

/** How well photos were classified. */
export interface ClassifyScore {
  readonly accuracy: number;
  /** What one would have by always saying the most frequent class. */
  readonly majority: number;
  readonly confusion: Confusion;
  /** Of every class, by id. */
  readonly report: readonly ClassReport[];
}

/** scoreOf: the scores of a confusion matrix of classes; accuracy and majority are NaN without photos. */
export function scoreOf(confusion: Confusion): ClassifyScore {
  const report = classificationReport(confusion);
  const all = report.reduce((sum, { support }) => sum + support, 0);
  const hits = report.reduce((sum, { label }) => sum + confusion.counts[label * (confusion.classes + 1)]!, 0);
  return {
    accuracy: hits / all,
    majority: Math.max(...report.map(({ support }) => support)) / all,
    confusion,
    report,
  };
}

/** scoreClassify: an exported classifier on photos, each as it would be served. Throws `bad-data` for a photo of a class that it does not know. */
export async function scoreClassify(
  { model, spec }: { readonly model: Uint8Array; readonly spec: ClassifyModelSpec },
  items: readonly ClassItem[],
  open: OpenGraph,
): Promise<ClassifyScore> {
  const classes = spec.classes.length;
  const confusion: Confusion = { classes, counts: new Float64Array(classes * classes) };
  const session = await open(model);
  try {
    for (const { name, path, label } of items) {
      const id = spec.classes.indexOf(label);
      ensure(
        id >= 0,
        'bad-data',
        () => `scoreClassify: expected one of ${spec.classes.join(', ')} for ${name}, got ${label}`,
      );
      const results = await session.run({ [spec.inputName]: classifyInput(await decodeRgb(path), spec) });
      const said = topClass(results[spec.outputName] as Tensor<'float32'>);
      confusion.counts[id * classes + said]! += 1;
    }
  } finally {
    await session.release();
  }
  return scoreOf(confusion);
}
