import { ensure, FettleError } from '../core/errors.ts';
import { knownKeys } from '../core/known-keys.ts';
import { type Tensor, zeros } from '../core/tensor.ts';
import { toOnnx } from '../onnx/export.ts';
import { buildOptimizer, type OptimizerDef } from '../optim/define.ts';
import { memoryOf } from '../run/memory-of.ts';
import type { Session, Tensors } from '../run/session.ts';
import { flatNames } from '../step/flat-state.ts';
import type { Span, TrainState } from '../step/state.ts';
import {
  buildEvaluation,
  buildStep,
  gradName,
  type InputTensors,
  nextName,
  type StepGraphs,
  type Task,
  type TaskInputs,
} from '../step/train-step.ts';
import { residentStep, residentUpdate } from './resident.ts';

/** Opens a session for a graph; what a device or a browser needs is in the closure. */
export type OpenGraph = (model: Uint8Array) => Promise<Session>;

/** Hyper-parameters of one update: a number, or one per parameter group. */
export type Hyper = Readonly<Record<string, number | readonly number[]>>;

const scalar = (value: number): Tensor<'float32'> => ({ dtype: 'float32', dims: [], data: Float32Array.of(value) });

/** The training graph of one task at one batch shape, working on a {@link TrainState} in place. */
export interface CompiledStep<I extends TaskInputs = TaskInputs> {
  /** Forward and backward; gradients land in the state. Returns the loss. */
  gradients(state: TrainState, batch: InputTensors<I>, random?: { readonly seed: number }): Promise<number>;
  readonly graphs: StepGraphs;
  release(): Promise<void>;
}

/** The evaluation graph of a task. */
export interface CompiledEvaluation<I extends TaskInputs = TaskInputs> {
  /** `loss` and the task's outputs; nothing is changed but states that the model carries from batch to batch. */
  evaluate(state: TrainState, batch: InputTensors<I>): Promise<Tensors>;
  release(): Promise<void>;
}

function randomFeeds({ inputNames }: Pick<Session, 'inputNames'>, seed: number, step: number): Tensors {
  if (!inputNames.includes('random.seed')) return {};
  const word = (value: number): Tensor => ({ dtype: 'uint32', dims: [], data: Uint32Array.of(value >>> 0) });
  return { 'random.seed': word(seed), 'random.step': word(step) };
}

function stateFeeds(session: Session, state: TrainState): Tensors {
  const wanted = new Set(session.inputNames);
  return Object.fromEntries([...state.tensors].filter(([name]) => wanted.has(name)));
}

/** Copies results named `next/<buffer>` into the state. */
export function keepUpdates(state: TrainState, results: Tensors): void {
  const prefix = nextName('');
  for (const [name, { data }] of Object.entries(results))
    if (name.startsWith(prefix)) state.tensors.get(name.slice(prefix.length))!.data.set(data as Float32Array);
}

/**
 * Builds and opens the training graph of `task`; parameters that `isTrained` refuses are frozen. On a device with memory of its own the
 * graph has the layout of a state, so it is opened, and may be refused there, with the first one.
 */
export async function compileStep<const I extends TaskInputs>(
  task: Task<I>,
  open: OpenGraph,
  isTrained?: (name: string) => boolean,
): Promise<CompiledStep<I>> {
  const graphs = buildStep(task, isTrained);
  const memory = await memoryOf(open);
  if (memory !== undefined) {
    const { gradients, release } = residentStep(graphs, memory);
    return {
      graphs,
      gradients: (state, batch, random = { seed: 0 }) =>
        gradients(state, (inputNames) => ({ ...batch, ...randomFeeds({ inputNames }, random.seed, state.step) })),
      release,
    };
  }
  const session = await open(toOnnx(graphs.training));
  const updated = graphs.training.outputs.filter(({ name }) => name.startsWith(nextName('')));
  // Not written into the state itself: the backward pass may still read the old value (the state of a recurrent net).
  const next = Object.fromEntries(
    updated.map(({ name, value }) => [name, zeros('float32', value.shape as readonly number[])]),
  );
  const loss = {
    dtype: 'float32',
    dims: graphs.training.outputs[0]!.value.shape as readonly number[],
    data: new Float32Array(1),
  } as const;
  return {
    graphs,
    async gradients(state, batch, random = { seed: 0 }) {
      const grads = graphs.trained.map((name) => [gradName(name), state.gradTensors.get(name)!] as const);
      const feeds = { ...batch, ...stateFeeds(session, state), ...randomFeeds(session, random.seed, state.step) };
      await session.run(feeds, { loss, ...next, ...Object.fromEntries(grads) });
      keepUpdates(state, next);
      return loss.data[0]!;
    },
    release: () => session.release(),
  };
}

/** Builds and opens the evaluation graph of `task`, whose inputs may have symbolic dimensions. */
export async function compileEvaluation<const I extends TaskInputs>(
  task: Task<I>,
  open: OpenGraph,
): Promise<CompiledEvaluation<I>> {
  const session = await open(toOnnx(buildEvaluation(task)));
  return {
    async evaluate(state, batch) {
      const results = await session.run({ ...batch, ...stateFeeds(session, state) });
      keepUpdates(state, results);
      return results;
    },
    release: () => session.release(),
  };
}

/** The optimiser of one state, updating its parameters and moments in place. */
export interface CompiledOptimizer {
  /**
   * One update from the gradients in `state`, which is the one that this was compiled for, else `bad-argument`. Hyper-parameters not
   * given keep the optimiser's defaults; unknown names are refused. `state.step` counts the updates that were made.
   */
  update(state: TrainState, hyper: Hyper): Promise<void>;
  release(): Promise<void>;
}

const flat = (data: Float32Array, offset: number, size: number): Tensor<'float32'> => ({
  dtype: 'float32',
  dims: [size],
  data: data.subarray(offset, offset + size),
});

function hyperOf(def: OptimizerDef, hyper: Hyper, name: string, group: number): number {
  const value = hyper[name] ?? def.hyper[name]!;
  const picked = typeof value === 'number' ? value : value[group];
  if (picked === undefined)
    throw new FettleError(
      'bad-argument',
      `optimizer: expected a ${name} for group ${group}, got ${JSON.stringify(value)}`,
    );
  return picked;
}

/** The state's flat tensors that are the inputs of `def`'s graph over `spans`. */
function residentPlaces(def: OptimizerDef, state: TrainState, spans: readonly Span[]): Map<string, string> {
  return new Map(
    spans.flatMap((span, i) => {
      const at = state.spans.indexOf(span);
      const moments = def.moments.map((name, k) => [`${name}.${i}`, flatNames.moment(at, k)] as const);
      return [[`param.${i}`, flatNames.param(at)], [`grad.${i}`, flatNames.grad(at)], ...moments] as const;
    }),
  );
}

/** Elements that the host updates at a time: all that a formula makes of them stays in the processor's cache. */
const pieceSize = 2 ** 18;

/** The stretches of at most {@link pieceSize} elements of span number `span`. */
const inPieces = ({ offset, size }: Span, span: number) =>
  Array.from({ length: Math.ceil(size / pieceSize) }, (_, i) => ({
    span,
    offset: offset + i * pieceSize,
    size: Math.min(pieceSize, size - i * pieceSize),
  }));

/** The graph in which the host updates these spans, and the stretch that is each of its tensors. */
export function buildUpdate(def: OptimizerDef, spans: readonly Span[], clip: boolean) {
  const pieces = spans.flatMap(inPieces);
  const sizes = pieces.map(({ size }) => size);
  return { pieces, graph: buildOptimizer(def, sizes, { clip, hyperOf: pieces.map(({ span }) => span) }) };
}

type Update = (hyper: Readonly<Record<string, Tensor>>) => Promise<void>;

interface OpenedUpdate {
  readonly update: Update;
  release(): Promise<void>;
}

/** Opens `def`'s graph over spans of `state`, on the host's numbers or on those that a device keeps. */
async function openUpdate(
  def: OptimizerDef,
  state: TrainState,
  spans: readonly Span[],
  open: OpenGraph,
  clip: boolean,
): Promise<OpenedUpdate> {
  const memory = await memoryOf(open);
  if (memory === undefined) return openHostUpdate(def, state, spans, open, clip);
  const sizes = spans.map(({ size }) => size);
  const model = toOnnx(buildOptimizer(def, sizes, { clip }));
  const { update, release } = await residentUpdate(model, memory, residentPlaces(def, state, spans));
  return { update: (hyper) => update(state, hyper), release };
}

async function openHostUpdate(
  def: OptimizerDef,
  state: TrainState,
  spans: readonly Span[],
  open: OpenGraph,
  clip: boolean,
): Promise<OpenedUpdate> {
  const { pieces, graph } = buildUpdate(def, spans, clip);
  const session = await open(toOnnx(graph));
  const feeds: Record<string, Tensor> = {};
  const fetches: Record<string, Tensor> = clip ? { gradNorm: scalar(0) } : {};
  for (const [i, { offset, size }] of pieces.entries()) {
    feeds[`grad.${i}`] = flat(state.grads, offset, size);
    const inPlace = [
      ['param', state.params] as const,
      ...def.moments.map((name, k) => [name, state.moments[k]!] as const),
    ];
    for (const [name, data] of inPlace) feeds[`${name}.${i}`] = fetches[`${name}.${i}.next`] = flat(data, offset, size);
  }
  return {
    async update(hyper) {
      await session.run({ ...feeds, ...hyper }, fetches);
    },
    release: () => session.release(),
  };
}

/**
 * Builds and opens `def` for those spans of `state` that `isTrained` accepts. Spans without weight decay get wd 0. A
 * hyper-parameter `maxNorm` clips the gradients by their norm over all these spans, in the graph; it opens another. `ownUpdates` gives how
 * many of the first `step` updates of the state are this optimiser's, where several share it: Adam's correction of its averages counts them.
 */
export async function compileOptimizer(
  def: OptimizerDef,
  state: TrainState,
  open: OpenGraph,
  isTrained: (span: Span) => boolean = () => true,
  ownUpdates: (step: number) => number = (step) => step,
): Promise<CompiledOptimizer> {
  const spans = state.spans.filter(isTrained);
  ensure(
    state.moments.length === def.moments.length,
    'bad-argument',
    () =>
      `compileOptimizer: expected a state with ${def.moments.length} moments for ${def.name}, got ${state.moments.length}`,
  );
  const plain = await openUpdate(def, state, spans, open, false);
  let clipping: typeof plain | undefined;
  const hypersOf = (hyper: Hyper): Record<string, Tensor> => {
    const values = spans.flatMap(({ group, decay }, i) =>
      Object.keys(def.hyper).map(
        (name) => [`${name}.${i}`, scalar(name === 'wd' && !decay ? 0 : hyperOf(def, hyper, name, group))] as const,
      ),
    );
    return { ...Object.fromEntries(values), step: scalar(ownUpdates(state.step) + 1) };
  };
  const apply = async (hyper: Hyper): Promise<void> => {
    const feeds = hypersOf(hyper);
    if (hyper.maxNorm === undefined) return plain.update(feeds);
    clipping ??= await openUpdate(def, state, spans, open, true);
    await clipping.update({ ...feeds, maxNorm: scalar(Number(hyper.maxNorm)) });
  };
  const hyperNames = [...Object.keys(def.hyper), 'maxNorm'];
  return {
    async update(given, hyper) {
      ensure(given === state, 'bad-argument', () => {
        return `update: expected the state that this ${def.name} was compiled for, got another; compile an optimizer for each state`;
      });
      knownKeys(`update of ${def.name}`, hyper, hyperNames);
      await apply(hyper);
      state.step += 1;
    },
    async release() {
      await plain.release();
      await clipping?.release();
    },
  };
}
