import { ensure, FettleError } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { need, needNotNegative } from '../core/numbers.ts';
import { momentsOf, trainingArtifacts } from '../export/artifacts.ts';
import { type ArtifactSet, type OrtArtifactOptions, ortArtifacts } from '../export/ort-artifacts.ts';
import type { Hyper } from '../loop/compile.ts';
import type { Task } from '../step/train-step.ts';
import { taskOf } from './compiled.ts';
import { type LearningRate, learningRates } from './groups.ts';
import { batchesOf } from './input.ts';
import type { Learner } from './learner.ts';

/** The task of a learner at the shapes of its first training batch. */
async function taskOfLearner(learner: Learner): Promise<Task> {
  // Loops run on the CPU alone; the artifacts are for every device.
  for await (const { x, y } of batchesOf('exportTraining', learner.options.data.train))
    return taskOf({ ...learner.options, loops: 'unrolled' }, { x, y });
  ensure(false, 'bad-data', () => 'exportTraining: expected a training loader with batches, got an empty one');
}

/** Hyper-parameters of a learner besides its rates: numbers, or one for each group. */
function hyperOf({ options }: Learner): Hyper {
  const { optimizer, hyper, wd } = options;
  const { lr: _, ...others } = { ...('wd' in optimizer.hyper ? { wd } : {}), ...hyper } as Hyper;
  return others;
}

export interface TrainingExportOptions {
  /** 18..21; 18 by default. */
  readonly opset?: number;
  /** The user's own facts, kept in the checkpoint. */
  readonly properties?: ReadonlyMap<string, number | string>;
}

const trainingNames = namesOf<TrainingExportOptions>({ opset: true, properties: true });

/**
 * The artifacts with which any ONNX Runtime continues training where the learner stands, at the shapes of its batches, each span with
 * the rates of its group.
 */
export async function exportTraining(learner: Learner, options: TrainingExportOptions = {}): Promise<ArtifactSet> {
  knownKeys('exportTraining', options, trainingNames);
  const { optimizer } = learner.options;
  const lr = typeof learner.lr === 'number' ? learner.lr : learningRates(learner.lr, learner.groups);
  return trainingArtifacts(await taskOfLearner(learner), {
    state: learner.state,
    optimizer,
    hyper: { ...hyperOf(learner), lr },
    isTrained: (name) => learner.isTrained(name),
    ...options,
  });
}

export interface OrtTrainingExportOptions extends TrainingExportOptions, Pick<OrtArtifactOptions, 'lr' | 'maxNorm'> {
  /** Weight decay; the learner's by default. */
  readonly wd?: number;
}

const ortNames = namesOf<OrtTrainingExportOptions>({
  opset: true,
  properties: true,
  lr: true,
  maxNorm: true,
  wd: true,
});

/** The one rate of a learner. A list would be taken for a schedule over updates, which a learner's rates are not. */
function rateOf(lr: LearningRate): number {
  if (typeof lr === 'number') return lr;
  const got = JSON.stringify(lr);
  throw new FettleError(
    'unsupported',
    `exportOrtTraining: expected a learner with one learning rate, got ${got}; pass lr, the runtime has no parameter groups`,
  );
}

/** The one number of every hyper-parameter. */
const numbersOf = (hyper: Hyper): Record<string, number> =>
  Object.fromEntries(
    Object.entries(hyper).map(([name, value]) => {
      if (typeof value === 'number') return [name, value];
      throw new FettleError(
        'unsupported',
        `exportOrtTraining: expected a learner with one ${name}, got [${value}]; the runtime has no parameter groups, exportTraining keeps them`,
      );
    }),
  );

/**
 * The artifacts for ONNX Runtime's own on-device training. It has one learning rate and one weight decay for all parameters, so a
 * learner that has several is refused (`unsupported`) unless `lr` and `wd` are given.
 */
export async function exportOrtTraining(
  learner: Learner,
  options: OrtTrainingExportOptions = {},
): Promise<ArtifactSet> {
  knownKeys('exportOrtTraining', options, ortNames);
  const { optimizer } = learner.options;
  const { wd, lr = rateOf(learner.lr), ...others } = options;
  need(typeof lr === 'number' || Array.isArray(lr), 'exportOrtTraining', 'lr as a number or one for each update', lr);
  if (wd !== undefined) needNotNegative('exportOrtTraining', 'wd', wd);
  const hyper = numbersOf({ ...hyperOf(learner), ...(wd === undefined ? {} : { wd }) });
  const { state } = learner;
  const trained = [...state.gradTensors.keys()].filter((name) => learner.isTrained(name));
  const spared = state.specs.filter(({ name, decay }) => trained.includes(name) && !decay);
  ensure(hyper.wd === undefined || hyper.wd === 0 || wd !== undefined || spared.length === 0, 'unsupported', () => {
    return `exportOrtTraining: expected one weight decay for all parameters, got ${hyper.wd}, and none for ${spared[0]?.name}; pass wd, the runtime decays all alike, or train with wdNormBias`;
  });
  return ortArtifacts(await taskOfLearner(learner), {
    weights: learner.weights,
    isTrained: (name) => learner.isTrained(name),
    optimizer,
    hyper,
    lr,
    ...(state.step === 0 ? {} : { progress: { step: state.step, moments: momentsOf(state, trained) } }),
    ...others,
  });
}
