import { dtypes } from '../core/dtype.ts';
import { ensure, messageOf } from '../core/errors.ts';
import { shown } from '../core/numbers.ts';
import { showShape } from '../core/shape.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import type { ParamSpec } from '../nn/scope.ts';
import type { Batch, Loader } from './options.ts';

/** A batch without what its loader keeps beside. */
type XY = { readonly [K in keyof Batch]: Batch[K] };

/** Throws `bad-data` unless `value` is a tensor: a dtype, whole dims and as many numbers in the typed array of that dtype. */
function needTensor(where: string, name: string, value: Tensor): void {
  const { dtype, dims, data } = value ?? {};
  const wanted = `${where}: expected ${name} as a tensor { dtype, dims, data }, got`;
  ensure(Array.isArray(dims) && data !== undefined, 'bad-data', () => {
    const help = Array.isArray(value) ? 'make one, e.g. f32([rows, columns], rows.flat())' : 'see f32, i32 and tensor';
    return `${wanted} ${shown(value)}; ${help}`;
  });
  const Data = dtypes[dtype]?.make(0).constructor;
  ensure(Data !== undefined && data instanceof Data, 'bad-data', () => {
    const got = `${shown(dtype)} over ${Array.isArray(data) ? 'a plain array' : Object.prototype.toString.call(data)}`;
    return `${wanted} ${got}; give ${Data?.name ?? `one of ${Object.keys(dtypes).join(', ')}`}`;
  });
  ensure(sizeOf(dims) === data.length, 'bad-data', () => `${wanted} ${data.length} values for ${showTensor(value)}`);
}

/** The batches of an epoch of `loader`, from `fromBatch` on; throws `bad-data` for one that does not hold x and y as tensors. */
export async function* batchesOf(where: string, loader: Loader, epoch = 0, fromBatch = 0): AsyncGenerator<Batch> {
  let at = fromBatch;
  for await (const batch of loader.epoch(epoch, { fromBatch })) {
    needTensor(`${where}, batch ${at}`, 'x', batch.x);
    needTensor(`${where}, batch ${at}`, 'y', batch.y);
    at += 1;
    yield batch;
  }
}

/** batchesIn: how many batches a loader states for an epoch. */
export const batchesIn = (loader: Loader, epoch: number): number => loader.batchesIn?.(epoch) ?? loader.batchesPerEpoch;

/** x and y of {@link batchesOf} the training data; throws `bad-data` when there are not as many as `batchesPerEpoch` states. */
export async function* trainBatches(loader: Loader, epoch: number, fromBatch: number): AsyncGenerator<XY> {
  const stated = batchesIn(loader, epoch);
  const fail = (got: string): string =>
    `data.train, epoch ${epoch}: expected ${stated} batches, as its batchesPerEpoch states, got ${got}; correct it, schedules count on it`;
  let count = fromBatch;
  for await (const { x, y } of batchesOf(`data.train, epoch ${epoch}`, loader, epoch, fromBatch)) {
    count += 1;
    ensure(count <= stated, 'bad-data', () => fail('more'));
    yield { x, y };
  }
  ensure(count === stated, 'bad-data', () => fail(String(count)));
}

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
    return `${wanted} ${showTensor(x)}; omit the axis of the batch, or use getPreds for many`;
  });
  ensure(sizeOf(x.dims) === x.data.length, 'bad-shape', () => `${wanted} ${x.data.length} values for ${showTensor(x)}`);
}
