import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import type { ParamSpec, Weights } from '../nn/scope.ts';
import { toOnnx } from '../onnx/export.ts';
import type { Graph, Node, Value } from '../onnx/graph.ts';
import { defaultOpset, needOpset } from '../onnx/opsets.ts';
import * as o from '../ops/build.ts';
import { buildForward, buildGradients, type Forward, type Task } from '../step/train-step.ts';
import { type OrtOptimizerOptions, ortDomain, ortOptimizerModel } from './ort-artifacts-optimizer.ts';
import { encodeOrtCheckpoint } from './ort-checkpoint.ts';

/*
 * The artifacts of ONNX Runtime's on-device training, as its last release takes them: what python's generate_artifacts
 * writes, with a backward pass of standard operators. docs/reference/artifacts.md has the contract.
 */

export const artifactNames = ['training_model.onnx', 'eval_model.onnx', 'optimizer_model.onnx', 'checkpoint'] as const;
/** The bytes of the four files. */
export type ArtifactSet = Readonly<Record<(typeof artifactNames)[number], Uint8Array>>;

/** Throws `bad-argument` unless all graphs of a training may be written for `opset`: reductions have their form of 18. */
export const needArtifactOpset = (where: string, opset: number): void =>
  needOpset(where, opset, defaultOpset, 'gradients are sums with the axes as an input, older opsets have none such');

export interface OrtArtifactOptions extends OrtOptimizerOptions {
  /** Of every parameter and buffer. */
  readonly weights: Weights;
  /** Parameters for which it is false are frozen; all are trained by default. */
  readonly isTrained?: (name: string) => boolean;
  /** Where a training stands: updates done, and for every trained parameter the optimiser's moments. */
  readonly progress?: { readonly step: number; readonly moments: ReadonlyMap<string, readonly Tensor[]> };
  /** The user's own facts, kept in the checkpoint. */
  readonly properties?: ReadonlyMap<string, number | string>;
}

const optionNames = namesOf<OrtArtifactOptions>({
  weights: true,
  optimizer: true,
  hyper: true,
  lr: true,
  maxNorm: true,
  opset: true,
  isTrained: true,
  progress: true,
  properties: true,
});

const bufferName = (param: string): string => `${param}_grad.accumulation.buffer`;
/** Outputs of such names are the runtime's own and hidden from its users. */
const flagName = (param: string): string => `${param}_grad.accumulation.out`;
const resetName = 'lazy_reset_grad';

/** target <- value where the flag `overwrite` bool[1] is true, else target += value; an output states that it happened. */
function accumulate(graph: Graph, name: string, target: Value, value: Value, overwrite: Value): void {
  const types = [{ dtype: 'bool', shape: [1] }] as const;
  const [flag] = graph.addNode('InPlaceAccumulatorV2', [target, value, overwrite], types, {}, ortDomain);
  graph.output(flagName(name), flag!);
}

/** Operators whose output may be their input's own memory. */
const viewOps: ReadonlySet<string> = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Identity', 'Transpose', 'Cast']);

/** Nodes that read the memory of `value`, directly or through views of it. */
function readersOf(graph: Graph, value: Value): Node[] {
  const direct = graph.nodes.filter((node) => node.inputs.includes(value));
  return direct.flatMap((node) => (viewOps.has(node.op) ? readersOf(graph, node.outputs[0]!) : [node]));
}

/** All nodes that `value` is made by. */
function makersOf(graph: Graph, value: Value): Set<Node> {
  const wanted = new Set<Value | undefined>([value]);
  const makers = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    makers.add(node);
    for (const input of node.inputs) wanted.add(input);
  }
  return makers;
}

/** The first element of `value` as bool[1]. */
const touch = (value: Value): Value => o.cast(o.gather(o.reshape(value, [-1]), value.graph.ints([0])), 'bool');

/**
 * True, bool[1], but only once everybody has read `buffer`: a state that is carried from batch to batch is needed by the backward
 * pass after its next value is known, and the runtime may run a node as soon as its inputs are there.
 */
function whenRead(graph: Graph, buffer: Value, next: Value): Value {
  const makers = makersOf(graph, next);
  const late = readersOf(graph, buffer).filter((node) => !makers.has(node));
  const yes = graph.constant('bool', [1], Uint8Array.of(1));
  const [bool] = [{ dtype: 'bool', shape: [1] }] as const;
  return late.reduce((flag, node) => graph.addNode('Or', [flag, touch(node.outputs[0]!)], [bool])[0]!, yes);
}

/** Buffers that the forward pass updates get their new values in place. */
function updateBuffers({ graph, scope }: Forward): void {
  for (const [name, next] of scope.updates) {
    const buffer = scope.values.get(name)!;
    accumulate(graph, name, buffer, next, whenRead(graph, buffer, next));
  }
}

function userOutputs({ graph, loss, outputs }: Forward): void {
  graph.output('loss', loss);
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
}

interface OrtTraining {
  readonly graph: Graph;
  readonly specs: readonly ParamSpec[];
  readonly trained: readonly string[];
}

function trainingGraph(task: Task, isTrained: (name: string) => boolean): OrtTraining {
  const forward = buildForward(task, true);
  const { graph, scope } = forward;
  // Random numbers are uint32 arithmetic, which stock ONNX Runtime got only later.
  ensure(!graph.inputs.some(({ name }) => name === 'random.seed'), 'unsupported', () => {
    return `ortArtifacts: expected a model without dropout or other random numbers, got ${task.name}; ONNX Runtime 1.19.2 has no operators for them, export the plain artifacts instead`;
  });
  const grads = buildGradients(forward, isTrained);
  userOutputs(forward);
  const buffers = [...grads.keys()].map((name) =>
    graph.input(bufferName(name), 'float32', scope.values.get(name)!.shape),
  );
  const reset = graph.input(resetName, 'bool', [1]);
  [...grads].forEach(([name, grad], i) => {
    accumulate(graph, name, buffers[i]!, grad, reset);
  });
  updateBuffers(forward);
  return { graph, specs: scope.specs, trained: [...grads.keys()] };
}

/** The runtime feeds parameters by place, so the evaluation graph must ask for the same ones in the same order. */
function evaluationGraph(task: Task, { specs }: OrtTraining): Graph {
  const forward = buildForward(task, false);
  const names = (list: readonly ParamSpec[]): string => list.map(({ name }) => name).join(' ');
  ensure(names(forward.scope.specs) === names(specs), 'unsupported', () => {
    return `ortArtifacts: expected the model to ask for the same parameters in training and evaluation, got ${names(specs)} and ${names(forward.scope.specs)}`;
  });
  userOutputs(forward);
  updateBuffers(forward);
  return forward.graph;
}

/** Names that the runtime would take for something else. */
function checkNames(task: Task): void {
  const taken = task.inputs.map(({ name }) => name).filter((name) => /_grad(\.|$)/.test(name) || name === resetName);
  ensure(taken.length === 0, 'bad-argument', () => {
    return `ortArtifacts: expected inputs whose names are free, got ${taken}; the runtime takes names with _grad for its own`;
  });
}

function tensorsOf(specs: readonly ParamSpec[], weights: Weights): Map<string, Tensor> {
  return new Map(
    specs.map(({ name, shape }) => {
      const data = weights.get(name);
      ensure(data?.length === sizeOf(shape), 'bad-checkpoint', () => {
        return `ortArtifacts: expected ${name} [${shape}], got ${data === undefined ? 'none' : `${data.length} values`}; the weights belong to another model`;
      });
      return [name, { dtype: 'float32', dims: shape, data }];
    }),
  );
}

/** The runtime wants moments for all trained parameters or for none. */
function checkProgress(trained: readonly string[], moments: ReadonlyMap<string, readonly Tensor[]>): void {
  const missing = trained.filter((name) => !moments.has(name));
  ensure(missing.length === 0 && moments.size === trained.length, 'bad-argument', () => {
    return `ortArtifacts: expected moments of the ${trained.length} trained parameters, got ${moments.size}, without ${missing.join(', ') || 'none of them missing'}`;
  });
}

function checkpointOf({ specs, trained }: OrtTraining, options: OrtArtifactOptions): Uint8Array {
  const { weights, progress, properties, lr = 1e-3 } = options;
  if (progress !== undefined) checkProgress(trained, progress.moments);
  const isTrained = new Set(trained);
  const initialLr = typeof lr === 'number' ? lr : lr[0]!;
  return encodeOrtCheckpoint({
    trained: tensorsOf(
      specs.filter(({ name }) => isTrained.has(name)),
      weights,
    ),
    frozen: tensorsOf(
      specs.filter(({ name }) => !isTrained.has(name)),
      weights,
    ),
    ...(progress === undefined ? {} : { optimizer: { ...progress, initialLr } }),
    ...(properties === undefined ? {} : { properties }),
  });
}

/**
 * The artifacts of `task` for ONNX Runtime's on-device training. Inputs of the training model: the task's, parameters, buffers; outputs: `loss`, the task's. Running statistics are frozen parameters that
 * are overwritten in place.
 */
export function ortArtifacts(task: Task, options: OrtArtifactOptions): ArtifactSet {
  knownKeys('ortArtifacts', options, optionNames);
  const { isTrained = () => true, opset = defaultOpset } = options;
  needArtifactOpset('ortArtifacts', opset);
  checkNames(task);
  const training = trainingGraph(task, isTrained);
  const model = { opset, domains: { [ortDomain]: 1 } };
  return {
    'training_model.onnx': toOnnx(training.graph, model),
    'eval_model.onnx': toOnnx(evaluationGraph(task, training), model),
    'optimizer_model.onnx': ortOptimizerModel(options),
    checkpoint: checkpointOf(training, options),
  };
}
