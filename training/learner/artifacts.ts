import { ensure } from '../core/errors.ts';
import { adamw } from '../optim/optimizers.ts';
import { momentsOf, trainingArtifacts } from '../step/artifacts.ts';
import { type ArtifactSet, type OrtArtifactOptions, ortArtifacts } from '../step/ort-artifacts.ts';
import type { Task } from '../step/train-step.ts';
import { taskOf } from './compiled.ts';
import type { Learner } from './create-learner.ts';

/** The task of a learner at the shapes of its first training batch. */
async function taskOfLearner(learner: Learner): Promise<Task> {
  const { model, loss, name = 'model', data } = learner.options;
  for await (const { x, y } of data.train.epoch(0))
    return taskOf({ name, model, loss, activation: learner.activation }, { x, y });
  ensure(false, 'bad-data', () => 'exportTraining: expected a training loader with batches, got an empty one');
}

/** Hyper-parameters of a learner that are plain numbers. */
function hyperOf({ options }: Learner): Record<string, number> {
  const { optimizer = adamw, hyper = {}, wd = 0.01 } = options;
  const all = Object.entries({ ...('wd' in optimizer.hyper ? { wd } : {}), ...hyper });
  return Object.fromEntries(all.filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
}

export interface TrainingExportOptions {
  readonly opset?: number;
  /** The user's own facts, kept in the checkpoint. */
  readonly properties?: ReadonlyMap<string, number | string>;
}

/** The artifacts with which any ONNX Runtime goes on training where the learner stands, at the shapes of its batches. */
export async function exportTraining(learner: Learner, options: TrainingExportOptions = {}): Promise<ArtifactSet> {
  const { optimizer = adamw } = learner.options;
  const lr = typeof learner.lr === 'number' ? { lr: learner.lr } : {};
  return trainingArtifacts(await taskOfLearner(learner), {
    state: learner.state,
    optimizer,
    hyper: { ...hyperOf(learner), ...lr },
    isTrained: (name) => learner.isTrained(name),
    ...options,
  });
}

export type OrtTrainingExportOptions = TrainingExportOptions &
  Pick<OrtArtifactOptions, 'lr' | 'maxNorm'> & {
    /** Weight decay; the learner's when left out. */
    readonly wd?: number;
  };

/**
 * The artifacts for ONNX Runtime's own on-device training. It has one learning rate and one weight decay for all parameters, so a
 * learner that has several is refused (`unsupported`) unless `lr` and `wd` are given.
 */
export async function exportOrtTraining(
  learner: Learner,
  options: OrtTrainingExportOptions = {},
): Promise<ArtifactSet> {
  const { optimizer = adamw } = learner.options;
  const { wd, lr = learner.lr, ...others } = options;
  const { lr: _, ...hyper } = { ...hyperOf(learner), ...(wd === undefined ? {} : { wd }) } as Record<string, number>;
  ensure(typeof lr === 'number' || Array.isArray(lr), 'unsupported', () => {
    return `exportOrtTraining: expected one learning rate, got ${JSON.stringify(lr)}; pass lr, the runtime has no parameter groups`;
  });
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
    lr: lr as number | readonly number[],
    ...(state.step === 0 ? {} : { progress: { step: state.step, moments: momentsOf(state, trained) } }),
    ...others,
  });
}
