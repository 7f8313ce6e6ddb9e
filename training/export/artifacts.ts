import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { toOnnx } from '../onnx/export.ts';
import { defaultOpset } from '../onnx/opsets.ts';
import { buildOptimizer, type OptimizerDef } from '../optim/define.ts';
import type { Span, TrainState } from '../step/state.ts';
import { buildEvaluation, buildStep, type Task } from '../step/train-step.ts';
import { type ArtifactSet, needArtifactOpset } from './ort-artifacts.ts';
import { encodeOrtCheckpoint } from './ort-checkpoint.ts';

/*
 * The same four files in the form that any ONNX Runtime takes: standard operators only, parameters in and gradients out, the
 * optimiser over flat stretches of parameters. It is what the Learner itself runs.
 */

export interface ArtifactOptions {
  /** Weights, moments and updates done. */
  readonly state: TrainState;
  readonly optimizer: OptimizerDef;
  /**
   * Hyper-parameters besides the optimiser's defaults, stated in the optimiser model's metadata: a number, or one for each parameter
   * group of the state.
   */
  readonly hyper?: Readonly<Record<string, number | readonly number[]>>;
  /** Parameters for which it is false are frozen; all are trained by default. */
  readonly isTrained?: (name: string) => boolean;
  /** 18..21; 18 by default. */
  readonly opset?: number;
  /** The user's own facts, kept in the checkpoint. */
  readonly properties?: ReadonlyMap<string, number | string>;
}

const optionNames = namesOf<ArtifactOptions>({
  state: true,
  optimizer: true,
  hyper: true,
  isTrained: true,
  opset: true,
  properties: true,
});

/**
 * Trained parameters that the optimiser updates as one tensor, `param.<its index>`: the metadata `segments` of its model, as JSON.
 * Frozen ones are in none, so that neither decay nor old moments move them.
 */
export interface ArtifactSpan {
  /** Names in the order in which they lie in that tensor. */
  readonly parameters: readonly string[];
  readonly size: number;
  /** Whether weight decay applies: `wd.<index>` is to be 0 where it does not. */
  readonly decay: boolean;
  /** Hyper-parameters of which each group has its own: those of this span. */
  readonly hyper?: Readonly<Record<string, number>>;
}

const offsetOf = ({ params }: TrainState, { data }: Tensor<'float32'>): number =>
  (data.byteOffset - params.byteOffset) / Float32Array.BYTES_PER_ELEMENT;

/** The parameters of a span, as they lie. */
function parametersOf(state: TrainState, { offset, size }: Span): string[] {
  const placed = [...state.gradTensors.keys()].map(
    (name) => [offsetOf(state, state.tensors.get(name)!), name] as const,
  );
  const inside = placed.filter(([at]) => at >= offset && at < offset + size);
  return inside.sort(([a], [b]) => a - b).map(([, name]) => name);
}

/** The optimiser's moments of parameters, in the optimiser's order. */
export function momentsOf(state: TrainState, names: readonly string[]): Map<string, readonly Tensor<'float32'>[]> {
  return new Map(
    names.map((name) => {
      const one = state.tensors.get(name)!;
      const at = offsetOf(state, one);
      const view = (moment: Float32Array): Tensor<'float32'> => ({
        ...one,
        data: moment.subarray(at, at + one.data.length),
      });
      return [name, state.moments.map(view)];
    }),
  );
}

type Hyper = NonNullable<ArtifactOptions['hyper']>;

/** Throws `bad-argument` unless `hyper` has finite numbers for names of the optimiser, lists with one for each group. */
function checkHyper({ state: { spans }, optimizer, hyper = {} }: ArtifactOptions): void {
  const groups = Math.max(...spans.map(({ group }) => group)) + 1;
  knownKeys(`trainingArtifacts: hyper of ${optimizer.name}`, hyper, Object.keys(optimizer.hyper));
  for (const [name, value] of Object.entries<number | readonly number[]>(hyper)) {
    const all = Array.isArray(value) ? value : [value];
    ensure(all.every(Number.isFinite) && (!Array.isArray(value) || all.length === groups), 'bad-argument', () => {
      return `trainingArtifacts: expected ${name} as a number or ${groups} numbers, one for each group, got ${JSON.stringify(value)}`;
    });
  }
}

/** Hyper-parameters that are the same for all groups. */
const sharedHyper = (hyper: Hyper): Record<string, number> =>
  Object.fromEntries(Object.entries(hyper).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));

/** Those of which each group has its own, for one group. */
function ownHyper(hyper: Hyper, group: number): { readonly hyper?: Record<string, number> } {
  const own = Object.entries(hyper).flatMap(([name, value]) =>
    typeof value === 'number' ? [] : [[name, value[group]!] as const],
  );
  return own.length === 0 ? {} : { hyper: Object.fromEntries(own) };
}

/** What the optimiser updates: of every span of the state the trained parameters. */
function spansOf(state: TrainState, names: ReadonlySet<string>, hyper: Hyper): ArtifactSpan[] {
  return state.spans.flatMap((span) => {
    const parameters = parametersOf(state, span).filter((name) => names.has(name));
    if (parameters.length === 0) return [];
    const size = parameters.reduce((sum, name) => sum + sizeOf(state.tensors.get(name)!.dims), 0);
    return [{ parameters, size, decay: span.decay, ...ownHyper(hyper, span.group) }];
  });
}

/** The checkpoint; before the first update there are no moments. */
function checkpointOf(options: ArtifactOptions, hyper: Hyper, trained: readonly string[]): Uint8Array {
  const { state, properties } = options;
  const names = new Set(trained);
  const tensors = [...state.tensors];
  const { lr = 0 } = hyper;
  // The file has room for one rate: the last group's, which is the head's.
  const initialLr = typeof lr === 'number' ? lr : (lr.at(-1) ?? 0);
  return encodeOrtCheckpoint({
    trained: new Map(tensors.filter(([name]) => names.has(name))),
    frozen: new Map(tensors.filter(([name]) => !names.has(name))),
    ...(state.step === 0 ? {} : { optimizer: { step: state.step, initialLr, moments: momentsOf(state, trained) } }),
    ...(properties === undefined ? {} : { properties }),
  });
}

/** The artifacts of `task` for stock ONNX Runtime; what each graph takes and gives is in docs/reference/artifacts.md. */
export function trainingArtifacts(task: Task, options: ArtifactOptions): ArtifactSet {
  knownKeys('trainingArtifacts', options, optionNames);
  const { state, optimizer, isTrained, opset = defaultOpset } = options;
  needArtifactOpset('trainingArtifacts', opset);
  checkHyper(options);
  const hyper: Hyper = { ...optimizer.hyper, ...options.hyper };
  const { training, trained } = buildStep(task, isTrained);
  const spans = spansOf(state, new Set(trained), hyper);
  const update = buildOptimizer(
    optimizer,
    spans.map(({ size }) => size),
  );
  const metadata = {
    optimizer: optimizer.name,
    hyper: JSON.stringify(sharedHyper(hyper)),
    segments: JSON.stringify(spans),
  };
  return {
    'training_model.onnx': toOnnx(training, { opset }),
    'eval_model.onnx': toOnnx(buildEvaluation(task), { opset }),
    'optimizer_model.onnx': toOnnx(update, { opset, metadata }),
    checkpoint: checkpointOf(options, hyper, trained),
  };
}
