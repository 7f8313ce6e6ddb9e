import type { DType } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import type { Shape } from '../core/shape.ts';
import { backward } from '../grad/backward.ts';
import type { LoopForm } from '../nn/loop.ts';
import { createScope, type ParamSpec, type Scope, type Weights } from '../nn/scope.ts';
import { Graph, needValue, type Value } from '../onnx/graph.ts';

/** What a task feeds in and computes, written once for training, evaluation and export. */
export interface Task {
  readonly name: string;
  /** Batch inputs: name, dtype and shape. */
  readonly inputs: readonly { readonly name: string; readonly dtype: DType; readonly shape: Shape }[];
  /** The loss (one f32 element) and whatever the evaluation graph shall return beside it. */
  readonly forward: (
    scope: Scope,
    inputs: Readonly<Record<string, Value>>,
  ) => { readonly loss: Value; readonly outputs?: Readonly<Record<string, Value>> };
  /**
   * How the time steps of recurrent layers are written: `unrolled` (when left out) runs on every device; `scan` has a fraction of
   * the nodes and is quicker on the CPU.
   */
  readonly loops?: LoopForm;
}

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

function declareInputs(graph: Graph, task: Task): Record<string, Value> {
  return Object.fromEntries(task.inputs.map(({ name, dtype, shape }) => [name, graph.input(name, dtype, shape)]));
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
  const inputs = declareInputs(graph, task);
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
export function buildInference(
  name: string,
  inputs: Task['inputs'],
  weights: Weights,
  build: (scope: Scope, inputs: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>,
): Graph {
  const graph = new Graph(name);
  const values = Object.fromEntries(
    inputs.map((input) => [input.name, graph.input(input.name, input.dtype, input.shape)]),
  );
  for (const [output, value] of Object.entries(build(createScope(graph, { training: false, weights }), values)))
    graph.output(output, value);
  return graph;
}
