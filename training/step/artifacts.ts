import type { Tensor } from '../core/tensor.ts';
import { toOnnx } from '../onnx/export.ts';
import { buildOptimizer, type OptimizerDef } from '../optim/define.ts';
import type { ArtifactSet } from './ort-artifacts.ts';
import { encodeOrtCheckpoint } from './ort-checkpoint.ts';
import type { Segment, TrainState } from './state.ts';
import { buildEvaluation, buildStep, type Task } from './train-step.ts';

/*
 * The same four files in the form that any ONNX Runtime takes: standard operators only, parameters in and gradients out, the
 * optimiser over flat stretches of parameters. It is what the Learner itself runs.
 */

export interface ArtifactOptions {
  /** Weights, moments and updates done. */
  readonly state: TrainState;
  readonly optimizer: OptimizerDef;
  /** Hyper-parameters besides the optimiser's defaults, told in the optimiser model's metadata. */
  readonly hyper?: Readonly<Record<string, number>>;
  /** Parameters for which it is false are frozen; all are trained when left out. */
  readonly isTrained?: (name: string) => boolean;
  readonly opset?: number;
  /** The user's own facts, kept in the checkpoint. */
  readonly properties?: ReadonlyMap<string, number | string>;
}

/** A stretch of parameters that the optimiser updates as one tensor, `param.<its index>`: the metadata `segments` of its model, as JSON. */
export interface ArtifactSegment {
  /** Names in the order in which they lie. */
  readonly parameters: readonly string[];
  readonly size: number;
  /** Whether weight decay applies: `wd.<index>` is to be 0 where it does not. */
  readonly decay: boolean;
}

const offsetOf = ({ params }: TrainState, { data }: Tensor<'float32'>): number =>
  (data.byteOffset - params.byteOffset) / Float32Array.BYTES_PER_ELEMENT;

/** The parameters of a segment, as they lie. */
function parametersOf(state: TrainState, { offset, size }: Segment): string[] {
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

/** The artifacts of `task` for stock ONNX Runtime; what each graph takes and gives is in docs/artifacts.md. */
export function trainingArtifacts(task: Task, options: ArtifactOptions): ArtifactSet {
  const { state, optimizer, hyper = {}, isTrained, opset = 18, properties } = options;
  const { training, trained } = buildStep(task, isTrained);
  const names = new Set(trained);
  const segments = state.segments
    .map(
      (segment): ArtifactSegment => ({
        parameters: parametersOf(state, segment),
        size: segment.size,
        decay: segment.decay,
      }),
    )
    .filter(({ parameters }) => parameters.some((name) => names.has(name)));
  const update = buildOptimizer(
    optimizer,
    segments.map(({ size }) => size),
  );
  const metadata = {
    optimizer: optimizer.name,
    hyper: JSON.stringify({ ...optimizer.hyper, ...hyper }),
    segments: JSON.stringify(segments),
  };
  const tensors = [...state.tensors];
  return {
    'training_model.onnx': toOnnx(training, { opset }),
    'eval_model.onnx': toOnnx(buildEvaluation(task), { opset }),
    'optimizer_model.onnx': toOnnx(update, { opset, metadata }),
    checkpoint: encodeOrtCheckpoint({
      trained: new Map(tensors.filter(([name]) => names.has(name))),
      frozen: new Map(tensors.filter(([name]) => !names.has(name))),
      optimizer: { step: state.step, initialLr: hyper.lr ?? optimizer.hyper.lr!, moments: momentsOf(state, trained) },
      ...(properties === undefined ? {} : { properties }),
    }),
  };
}
