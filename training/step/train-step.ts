import type { DType } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import type { Shape } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';
import { backward } from '../grad/backward.ts';
import type { LoopForm } from '../nn/loop.ts';
import { createScope, type ParamSpec, type Scope, type Weights } from '../nn/scope.ts';
import { Graph, needValue, type Value } from '../onnx/graph.ts';

/** An input of a task's batches. */
export interface TaskInput {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}
export type TaskInputs = readonly TaskInput[];

/** The values of a task's inputs in its graph, by name. */
export type InputValues<I extends TaskInputs> = string extends I[number]['name']
  ? Readonly<Record<string, Value>>
  : { readonly [One in I[number] as One['name']]: Value };

/** A batch for a task: a tensor for each of its inputs, of the input's dtype. */
export type InputTensors<I extends TaskInputs> = string extends I[number]['name']
  ? Readonly<Record<string, Tensor>>
  : { readonly [One in I[number] as One['name']]: Tensor<One['dtype']> };

/** What a task feeds in and computes, written once for training, evaluation and export. */
export interface Task<I extends TaskInputs = TaskInputs> {
  readonly name: string;
  readonly inputs: I;
  /** The loss (one f32 element) and whatever the evaluation graph shall return beside it. */
  forward(
    scope: Scope,
    inputs: InputValues<I>,
  ): { readonly loss: Value; readonly outputs?: Readonly<Record<string, Value>> };
  /**
   * How the time steps of recurrent layers are written: `unrolled` (by default) runs on every device; `scan` has a fraction of
   * the nodes and is quicker on the CPU.
   */
  readonly loops?: LoopForm;
}

/** The task as it is, its `forward` typed by its `inputs`: `defineTask({ name, inputs: [{ name: 'x', ... }], forward: (scope, { x }) => ... })`. */
export const defineTask = <const I extends TaskInputs>(task: Task<I>): Task<I> => task;

/** Output names of the training graph. */
export const gradName = (param: string): string => `grad/${param}`;
export const nextName = (buffer: string): string => `next/${buffer}`;

export interface StepGraphs {
  /** inputs: batch, parameters, buffers; outputs: `loss`, `grad/<param>` of each trained one, `next/<buffer>`. */
  readonly training: Graph;
  /** Every parameter and buffer, in the order the model asked for them. */
  readonly specs: readonly ParamSpec[];
  /** Names of the parameters that have gradients here. */
  readonly trained: readonly string[];
}

function declareInputs<I extends TaskInputs>(graph: Graph, inputs: I): InputValues<I> {
  const values = inputs.map(({ name, dtype, shape }) => [name, graph.input(name, dtype, shape)] as const);
  return Object.fromEntries(values) as InputValues<I>;
}

/** A task's forward pass in a graph of its own. */
export interface Forward {
  readonly graph: Graph;
  readonly scope: Scope;
  readonly loss: Value;
  readonly outputs: Readonly<Record<string, Value>>;
}

/** Inputs: batch, then parameters and buffers as the model asks for them; no outputs are declared yet. */
export function buildForward(task: Task, training: boolean): Forward {
  const graph = new Graph(`${task.name}_${training ? 'training' : 'eval'}`);
  const inputs = declareInputs(graph, task.inputs);
  const scope = createScope(graph, { training, loops: task.loops ?? 'unrolled' });
  const { loss, outputs = {} } = task.forward(scope, inputs) ?? {};
  return { graph, scope, loss: needValue(`loss of ${task.name}`, loss), outputs };
}

/** The gradient of every parameter that `isTrained` accepts, by name, in the model's order; throws `bad-argument` when there is none. */
export function buildGradients({ scope, loss }: Forward, isTrained: (name: string) => boolean): Map<string, Value> {
  const trained = scope.specs.filter((spec) => spec.kind === 'param' && isTrained(spec.name));
  ensure(
    trained.length > 0,
    'bad-argument',
    () => `buildStep: expected at least one trained parameter, got none of ${scope.specs.length}; unfreeze something`,
  );
  const values = trained.map(({ name }) => scope.values.get(name)!);
  const grads = backward(loss, values);
  return new Map(trained.map(({ name }, i) => [name, grads.get(values[i]!)!]));
}

/** The evaluation graph: inputs batch, parameters, buffers; outputs `loss`, the task's outputs, `next/<buffer>` of carried states. */
export function buildEvaluation(task: Task): Graph {
  const { graph, scope, loss, outputs } = buildForward(task, false);
  graph.output('loss', loss);
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  outputUpdates(graph, scope);
  return graph;
}

/** Makes the new value of every updated buffer an output, `next/<buffer>`. */
export function outputUpdates(graph: Graph, scope: Scope): void {
  for (const [name, value] of scope.updates) graph.output(nextName(name), value);
}

/** Assembles forward and gradient of `task`. Parameters for which `isTrained` is false are frozen: no gradient is computed. */
export function buildStep(task: Task, isTrained: (name: string) => boolean = () => true): StepGraphs {
  const forward = buildForward(task, true);
  const { graph, scope, loss } = forward;
  const grads = buildGradients(forward, isTrained);
  graph.output('loss', loss);
  for (const [name, grad] of grads) graph.output(gradName(name), grad);
  outputUpdates(graph, scope);
  return { training: graph, specs: scope.specs, trained: [...grads.keys()] };
}

/** The inference graph of a model with its weights inside. `build` makes the outputs from the inputs. */
export function buildInference<const I extends TaskInputs>(
  name: string,
  inputs: I,
  weights: Weights,
  build: (scope: Scope, inputs: InputValues<I>) => Readonly<Record<string, Value>>,
): Graph {
  const graph = new Graph(name);
  const values = declareInputs(graph, inputs);
  for (const [output, value] of Object.entries(build(createScope(graph, { training: false, weights }), values)))
    graph.output(output, value);
  return graph;
}
