import { ensure } from '../core/errors.ts';
import { type Shape, symDim } from '../core/shape.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import {
  type CompiledEvaluation,
  type CompiledStep,
  compileEvaluation,
  compileStep,
  keepUpdates,
  type OpenGraph,
} from '../loop/compile.ts';
import { checkLabels, type LabelRule, labelRules } from '../nn/label-rules.ts';
import type { LoopForm } from '../nn/loop.ts';
import * as losses from '../nn/losses.ts';
import { createScope, type ParamSpec, type Scope } from '../nn/scope.ts';
import { toOnnx } from '../onnx/export.ts';
import { Graph, needValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { Session, Tensors } from '../run/session.ts';
import type { TrainState } from '../step/state.ts';
import { buildForward, outputUpdates, type Task } from '../step/train-step.ts';
import { needInput } from './input.ts';

/** A model: x[N,...] -> prediction[N,...]. */
export type Model = (scope: Scope, x: Value) => Value;
/** A loss: prediction and target -> f32[], a mean over the batch. */
export type Loss = (prediction: Value, target: Value) => Value;
/** What makes an answer of a raw prediction, e.g. softmax. */
export type Activation = (prediction: Value) => Value;

export interface ModelParts {
  readonly name: string;
  readonly model: Model;
  readonly loss: Loss;
  readonly activation: Activation;
  readonly loops?: LoopForm;
  /** See the option of learners; of graphs that evaluate. */
  readonly freeSize?: number;
}

const softmax: Activation = (prediction) => o.softmax(prediction, 1);
const activations: ReadonlyMap<unknown, Activation> = new Map<unknown, Activation>([
  [losses.crossEntropyLoss, softmax],
  [losses.focalLoss, softmax],
  [losses.bceWithLogitsLoss, o.sigmoid],
  [losses.binaryFocalLoss, o.sigmoid],
  [losses.binaryDiceLoss, o.sigmoid],
]);

/** The activation that belongs to a loss: softmax over axis 1 for classes, sigmoid for binary losses, none for others. */
export const activationOf = (loss: Loss): Activation => activations.get(loss) ?? ((prediction) => prediction);

/** What the model makes of x; throws `bad-argument` when that is no value of the graph. */
export const applyModel = (model: Model, scope: Scope, x: Value): Value => needValue('model', model(scope, x));

/** The shape of a graph's input for a tensor: its own, or that of pictures whose height and width are any multiples of `freeSize`. */
const shapeFor = ({ dims }: Tensor, freeSize: number): Shape =>
  freeSize > 0 && dims.length === 4 ? [dims[0]!, dims[1]!, symDim('H', freeSize), symDim('W', freeSize)] : dims;

/** Inputs of a graph for the tensors of a batch. */
const inputsOf = (batch: Tensors, freeSize = 0): Task['inputs'] =>
  Object.entries(batch).map(([name, one]) => ({ name, dtype: one.dtype, shape: shapeFor(one, freeSize) }));

/**
 * The loss; for a mixed batch (see `mixup`) the same mixture of two losses: mix loss(p, y) + (1 - mix) loss(p, y2).
 * The prediction is an output beside it.
 */
export function taskOf({ name, model, loss, loops }: ModelParts, batch: Tensors, freeSize = 0): Task {
  return {
    name,
    ...(loops === undefined ? {} : { loops }),
    inputs: inputsOf(batch, freeSize),
    forward: (scope, { x, y, y2, mix }) => {
      const prediction = applyModel(model, scope, x!);
      const first = loss(prediction, y!);
      const mixed = y2 === undefined ? first : o.add(o.mul(first, mix!), o.mul(loss(prediction, y2), o.sub(1, mix!)));
      return { loss: mixed, outputs: { prediction } };
    },
  };
}

/** The graph of `activation(model(x))`: output `prediction`; parameters are inputs. */
function forwardGraph({ name, model, activation, freeSize = 0 }: ModelParts, x: Tensor): Graph {
  const graph = new Graph(`${name}_forward`);
  const scope = createScope(graph, { training: false });
  graph.output('prediction', activation(applyModel(model, scope, graph.input('x', x.dtype, shapeFor(x, freeSize)))));
  outputUpdates(graph, scope);
  return graph;
}

/** The graph of every item's own loss: output `losses` f32[N]. */
function itemLossGraph({ name, model, loss }: ModelParts, { x, y }: Tensors): Graph {
  const graph = new Graph(`${name}_losses`);
  const scope = createScope(graph, { training: false });
  const prediction = applyModel(model, scope, graph.input('x', x!.dtype, x!.dims));
  const target = graph.input('y', y!.dtype, y!.dims);
  const item = (value: Value, i: number): Value => o.slice(value, { axes: [0], starts: [i], ends: [i + 1] });
  const losses = Array.from({ length: x!.dims[0]! }, (_, i) =>
    o.reshape(loss(item(prediction, i), item(target, i)), [1]),
  );
  graph.output('losses', losses.length === 1 ? losses[0]! : o.concat(losses, 0));
  return graph;
}

/** Parameters and buffers of a model, in order. */
export function specsOf(
  { model }: Pick<ModelParts, 'model'>,
  x: Tensor,
): { specs: readonly ParamSpec[]; scope: Scope } {
  const graph = new Graph('specs');
  const scope = createScope(graph, { training: false });
  applyModel(model, scope, graph.input('x', x.dtype, x.dims));
  return { specs: scope.specs, scope };
}

interface Releasable {
  release(): Promise<void>;
}

/** Sessions kept open at most; the one that was not used for longest goes first. */
const openLimit = 8;

/**
 * Graphs have fixed shapes. So one is compiled for every shape of batch that comes along, when it first does, and kept:
 * the last, smaller batch of a data set costs one more compilation and nothing after that.
 */
export class CompiledModels {
  readonly #parts: ModelParts;
  readonly #open: OpenGraph;
  readonly #sample: Tensor;
  readonly #kept = new Map<string, Releasable>();
  readonly #labelRules = new Map<string, readonly LabelRule[]>();

  /** `sample` is the x[N,...] that the parameters were made for; batches of another kind are refused (`bad-shape`). */
  constructor(parts: ModelParts, open: OpenGraph, sample: Tensor) {
    this.#parts = parts;
    this.#open = open;
    this.#sample = sample;
  }

  async step(batch: Tensors, frozen: number, isTrained: (name: string) => boolean): Promise<CompiledStep> {
    const make = () => compileStep(taskOf(this.#parts, batch), this.#open, isTrained);
    const step = await this.#get(`step ${frozen}`, batch, make);
    this.#checkLabels(batch);
    return step;
  }

  async evaluation(batch: Tensors): Promise<CompiledEvaluation> {
    const { freeSize = 0 } = this.#parts;
    const make = () => compileEvaluation(taskOf(this.#parts, batch, freeSize), this.#open);
    const evaluation = await this.#get('evaluation', batch, make, freeSize);
    this.#checkLabels(batch);
    return evaluation;
  }

  /** activation(model(x)). */
  async forward(state: TrainState, x: Tensor): Promise<Tensor<'float32'>> {
    const make = () => this.#open(toOnnx(forwardGraph(this.#parts, x)));
    const session = await this.#get('forward', { x }, make, this.#parts.freeSize);
    const results = await runWith(session, state, { x });
    keepUpdates(state, results);
    return results.prediction as Tensor<'float32'>;
  }

  /** The loss of every item of the batch. */
  async itemLosses(state: TrainState, batch: Tensors): Promise<Float32Array> {
    const session = await this.#get('losses', batch, () => this.#open(toOnnx(itemLossGraph(this.#parts, batch))));
    this.#checkLabels(batch);
    return (await runWith(session, state, batch)).losses!.data as Float32Array;
  }

  async release(): Promise<void> {
    const all = [...this.#kept.values()];
    this.#kept.clear();
    for (const one of all) await one.release();
  }

  /** Throws `bad-data` when the loss cannot count a label of the batch. */
  #checkLabels(batch: Tensors): void {
    // What labels there may be does not depend on the sizes of a batch.
    const key = inputsOf(batch)
      .map(({ name, dtype, shape }) => `${name} ${dtype} ${shape.length}`)
      .join();
    const rules = this.#labelRules.get(key) ?? labelRules(buildForward(taskOf(this.#parts, batch), false).graph);
    this.#labelRules.set(key, rules);
    checkLabels(batch, rules);
  }

  async #get<T extends Releasable>(kind: string, batch: Tensors, make: () => Promise<T>, freeSize = 0): Promise<T> {
    const key = JSON.stringify([kind, ...inputsOf(batch, freeSize)]);
    const kept = this.#kept.get(key);
    if (kept === undefined) needInput(batch.x!, this.#sample, (x) => specsOf(this.#parts, x).specs);
    const known = kept ?? (await make());
    this.#kept.delete(key);
    this.#kept.set(key, known);
    if (this.#kept.size > openLimit) await this.#dropOldest();
    return known as T;
  }

  async #dropOldest(): Promise<void> {
    const [key, oldest] = this.#kept.entries().next().value!;
    this.#kept.delete(key);
    await oldest.release();
  }
}

const runWith = (session: Session, state: TrainState, batch: Tensors): Promise<Tensors> => {
  const wanted = new Set(session.inputNames);
  return session.run({ ...batch, ...Object.fromEntries([...state.tensors].filter(([name]) => wanted.has(name))) });
};

/** Tensors joined along their first axis; the other dimensions must agree. */
function joinTensors(parts: readonly Tensor[]): Tensor {
  const [first] = parts as readonly [Tensor];
  const rows = parts.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const dims = [rows, ...first.dims.slice(1)];
  const data = new (first.data.constructor as Float32ArrayConstructor)(sizeOf(dims));
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return { dtype: first.dtype, dims, data } as Tensor;
}

/** Predictions and targets of all batches of a loader; throws `bad-data` when there were none. */
export function joinPredictions(
  where: string,
  predictions: readonly Tensor[],
  targets: readonly Tensor[],
): { readonly predictions: Tensor<'float32'>; readonly targets: Tensor } {
  ensure(predictions.length > 0, 'bad-data', () => `${where}: expected a loader with batches, got an empty one`);
  return { predictions: joinTensors(predictions) as Tensor<'float32'>, targets: joinTensors(targets) };
}
