import { ensure } from '../core/errors.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { initialWeights, type ParamSpec, type Weights } from '../nn/scope.ts';
import type { OptimizerDef } from '../optim/define.ts';

/** A run of parameters that share their hyper-parameters: one flat stretch of memory. */
export interface Span {
  /** Parameter group, 0 = earliest layers. */
  readonly group: number;
  /** Whether these belong to normalisation layers, which stay trainable in frozen groups. */
  readonly norm: boolean;
  /** Whether weight decay applies. */
  readonly decay: boolean;
  readonly offset: number;
  readonly size: number;
}

/** What lies in the buffers of a {@link TrainState}. */
export const numberGroups = ['params', 'grads', 'moments', 'buffers'] as const;
export type NumberGroup = (typeof numberGroups)[number];

/** Where the newest numbers of a state are, while a device may keep them from step to step. */
export interface Residence {
  /** Brings the newest numbers into the state's own arrays; all groups by default. */
  toHost(groups?: readonly NumberGroup[]): Promise<void>;
  /** States that the state's own arrays were written to, so that what a device has of them is out of date. */
  hostChanged(groups?: readonly NumberGroup[]): void;
}

/**
 * All numbers that training changes. Parameters, gradients and moments each lie in one buffer, in the same order, so
 * that the optimiser works on a few long tensors; `tensors` are views into them, by name.
 */
export interface TrainState {
  readonly specs: readonly ParamSpec[];
  readonly spans: readonly Span[];
  readonly params: Float32Array;
  readonly grads: Float32Array;
  /** One buffer per moment of the optimiser. */
  readonly moments: readonly Float32Array[];
  /** Running statistics, one after the other. */
  readonly buffers: Float32Array;
  readonly tensors: ReadonlyMap<string, Tensor<'float32'>>;
  readonly gradTensors: ReadonlyMap<string, Tensor<'float32'>>;
  /** What callbacks keep beside the model (averaged weights, say), by name; a part of checkpoints. */
  readonly extra: Map<string, Float32Array>;
  /** Set while a run lasts. Who reads or writes the arrays meanwhile asks it first; without it they are the newest. */
  residence?: Residence | undefined;
  /** Optimiser steps taken. */
  step: number;
}

export interface StateOptions {
  readonly optimizer: OptimizerDef;
  /** The group of a parameter, 0 by default. */
  readonly groupOf?: (name: string) => number;
  /** Whether a parameter belongs to a normalisation layer, for spans of their own; false by default. */
  readonly isNorm?: (name: string) => boolean;
}

const view = (buffer: Float32Array, offset: number, dims: readonly number[]): Tensor<'float32'> => ({
  dtype: 'float32',
  dims,
  data: buffer.subarray(offset, offset + sizeOf(dims)),
});

/** Parameters sorted into spans; the order within a span is the model's. */
function layOut(
  params: readonly ParamSpec[],
  groupOf: (name: string) => number,
  isNorm: (name: string) => boolean,
): { spans: Span[]; offsets: Map<string, number> } {
  const keyOf = (spec: ParamSpec): number =>
    4 * groupOf(spec.name) + (isNorm(spec.name) ? 2 : 0) + (spec.decay ? 1 : 0);
  const spans: Span[] = [];
  const offsets = new Map<string, number>();
  let at = 0;
  for (const key of [...new Set(params.map(keyOf))].sort((a, b) => a - b)) {
    const offset = at;
    for (const spec of params.filter((one) => keyOf(one) === key)) {
      offsets.set(spec.name, at);
      at += sizeOf(spec.shape);
    }
    spans.push({ group: key >> 2, norm: (key & 2) !== 0, decay: key % 2 === 1, offset, size: at - offset });
  }
  return { spans, offsets };
}

/** A fresh state for a model: parameters and buffers zero until {@link setWeights}. */
export function createState(
  specs: readonly ParamSpec[],
  { optimizer, groupOf = () => 0, isNorm = () => false }: StateOptions,
): TrainState {
  const params = specs.filter((spec) => spec.kind === 'param');
  const { spans, offsets } = layOut(params, groupOf, isNorm);
  const total = spans.reduce((sum, span) => sum + span.size, 0);
  const values = new Float32Array(total);
  const grads = new Float32Array(total);
  const stats = specs.filter((spec) => spec.kind === 'buffer');
  const buffers = new Float32Array(stats.reduce((sum, spec) => sum + sizeOf(spec.shape), 0));
  const tensors = new Map<string, Tensor<'float32'>>(
    params.map((spec) => [spec.name, view(values, offsets.get(spec.name)!, spec.shape)]),
  );
  let at = 0;
  for (const spec of stats) {
    tensors.set(spec.name, view(buffers, at, spec.shape));
    at += sizeOf(spec.shape);
  }
  const gradTensors = new Map(params.map((spec) => [spec.name, view(grads, offsets.get(spec.name)!, spec.shape)]));
  return {
    specs,
    spans,
    params: values,
    grads,
    moments: optimizer.moments.map(() => new Float32Array(total)),
    buffers,
    tensors,
    gradTensors,
    extra: new Map(),
    step: 0,
  };
}

/** Copies `weights` in by name; throws `bad-checkpoint` when one is missing or has another size. */
export function setWeights(state: TrainState, weights: Weights): void {
  for (const [name, { data, dims }] of state.tensors) {
    const source = weights.get(name);
    ensure(
      source?.length === data.length,
      'bad-checkpoint',
      () =>
        `setWeights: expected ${name} [${dims}], got ${source === undefined ? 'none' : `${source.length} values`}; the weights belong to another model`,
    );
    data.set(source);
  }
}

/** First values by the model's own initialisers. */
export const initState = (state: TrainState, seed: number): void =>
  setWeights(state, initialWeights(state.specs, seed));

/** A copy of every parameter and buffer, by name. */
export const copyWeights = (state: TrainState): Map<string, Float32Array> =>
  new Map([...state.tensors].map(([name, { data }]) => [name, data.slice()]));
