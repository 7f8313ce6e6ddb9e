import { ensure, messageOf } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import type { ParamSpec } from '../nn/scope.ts';

/** `float32[N,3,28,28]`. */
const showBatch = ({ dtype, dims }: Tensor): string => `${dtype}[${['N', ...dims.slice(1)].join(',')}]`;
const showTensor = ({ dtype, dims }: Tensor): string => `${dtype}[${dims.join(',')}]`;

/** The first parameter that a model asks for in another shape than in `made`, as text. */
function otherParameter(made: readonly ParamSpec[], asked: readonly ParamSpec[]): string | undefined {
  const shapes = new Map(made.map(({ name, shape }) => [name, showShape(shape)]));
  const other = asked.find(({ name, kind, shape }) => kind === 'param' && shapes.get(name) !== showShape(shape));
  return other && `${other.name} would be ${showShape(other.shape)}, is ${shapes.get(other.name) ?? 'not there'}`;
}

/**
 * Throws `bad-shape` or `bad-dtype` unless x[N,...] is what a model can take that was made for batches like `sample`: the same dtype and
 * number of axes, and of all other sizes (channels, features, perhaps heights) those with which the model, by `specsOf`, asks for the
 * parameters that it has.
 */
export function needInput(x: Tensor, sample: Tensor, specsOf: (x: Tensor) => readonly ParamSpec[]): void {
  const wanted = `x: expected batches like those of the training, ${showBatch(sample)}, got`;
  ensure(
    Array.isArray(x?.dims) && x.data !== undefined,
    'bad-shape',
    () => `${wanted} no tensor { dtype, dims, data }`,
  );
  ensure(x.dtype === sample.dtype, 'bad-dtype', () => `${wanted} ${showTensor(x)}; make it ${sample.dtype} as there`);
  ensure(x.dims.length === sample.dims.length, 'bad-shape', () => {
    return `${wanted} ${showTensor(x)}; give items as there (predict takes one without the batch's axis)`;
  });
  let reason: string | undefined;
  try {
    reason = otherParameter(specsOf(sample), specsOf(x));
  } catch (error) {
    reason = messageOf(error);
  }
  ensure(reason === undefined, 'bad-shape', () => `${wanted} ${showTensor(x)} (${reason}); give items as there`);
}

/** Throws `bad-shape` unless x[...] is one item as of the batches `sample`, all its values there. */
export function needItem(where: string, x: Tensor, sample: Tensor): void {
  const wanted = `${where}: expected one item as of the training, ${sample.dtype}[${sample.dims.slice(1).join(',')}], got`;
  ensure(
    Array.isArray(x?.dims) && x.data !== undefined,
    'bad-shape',
    () => `${wanted} no tensor { dtype, dims, data }`,
  );
  ensure(x.dims.length === sample.dims.length - 1, 'bad-shape', () => {
    return `${wanted} ${showTensor(x)}; leave out the axis of the batch, or use getPreds for many`;
  });
  ensure(sizeOf(x.dims) === x.data.length, 'bad-shape', () => `${wanted} ${x.data.length} values for ${showTensor(x)}`);
}
