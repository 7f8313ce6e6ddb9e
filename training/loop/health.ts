import { FettleError } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import type { Tensors } from '../run/session.ts';
import type { TrainState } from '../step/state.ts';

const isFloat = (tensor: Tensor): boolean => tensor.dtype === 'float32' || tensor.dtype === 'float64';

/** Whether every value is finite. */
export function allFinite(data: Float32Array | Float64Array): boolean {
  // A sum over blocks of zero times the value is NaN as soon as one of them is not finite.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! * 0;
  return sum === 0;
}

/**
 * The name of the first tensor that holds a NaN or an infinity: of the batch, then of parameters and running statistics
 * in the model's order, then of gradients (`grad/<name>`); undefined when all are finite.
 */
export function firstBadTensor(state: TrainState, batch: Tensors = {}): string | undefined {
  const bad = (tensor: Tensor | undefined): boolean =>
    tensor !== undefined && isFloat(tensor) && !allFinite(tensor.data as Float32Array);
  const names = state.specs.map(({ name }) => name);
  const input = Object.keys(batch).find((name) => bad(batch[name]));
  if (input !== undefined) return input;
  const value = names.find((name) => bad(state.tensors.get(name)));
  if (value !== undefined) return value;
  const gradient = names.find((name) => bad(state.gradTensors.get(name)));
  return gradient === undefined ? undefined : `grad/${gradient}`;
}

/** What to say of an evaluated batch whose loss is not finite: its place, and the first tensor of batch, weights or results that is not. */
export function describeNotFinite(state: TrainState, place: string, batch: Tensors, results: Tensors): string {
  const before = firstBadTensor(state, batch);
  // Gradients have no part in an evaluation.
  const found = before?.startsWith('grad/') ? undefined : before;
  const { loss, prediction } = results;
  const first =
    found ?? (prediction !== undefined && !allFinite(prediction.data as Float32Array) ? 'prediction' : 'loss');
  return `${place} has the loss ${loss!.data[0]}; the first tensor that is not finite is ${first}`;
}

/** An error that is the batch's fault, with the batch's place before its text; others as they are. */
export const atPlace = (place: string, error: unknown): unknown =>
  error instanceof FettleError && error.code === 'bad-data'
    ? new FettleError(error.code, `${place}: ${error.message}`, { cause: error })
    : error;

/** Throws `bad-data` for such a text. */
export const failOnNotFinite =
  (where: string) =>
  (text: string): never => {
    throw new FettleError('bad-data', `${where}: expected finite losses, got another: ${text}; look for damaged data`);
  };
