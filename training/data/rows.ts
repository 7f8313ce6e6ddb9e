import { dtypes } from '../core/dtype.ts';
import { need, needCount } from '../core/numbers.ts';
import { resolveOptions } from '../core/option-table.ts';
import { f32, i32, sizeOf, type Tensor } from '../core/tensor.ts';
import { epochOrder } from './order.ts';
import { shareSplit } from './split.ts';

/** x[N,...] and y[N,...] of a batch. */
export interface RowBatch {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** A learner's loader over rows that are in memory. */
export interface RowLoader {
  readonly batchesPerEpoch: number;
  epoch(epoch?: number, options?: { readonly fromBatch?: number }): AsyncGenerator<RowBatch>;
}

export interface RowLoaders {
  readonly train: RowLoader;
  readonly valid: RowLoader;
  /** Names of the classes by id, where the targets are classes. */
  readonly vocab?: readonly string[];
}

/** How rows become batches. */
export interface RowOptions {
  /** Rows of a batch; 64 by default. The training drops a last smaller batch, the validation keeps it. */
  readonly batchSize?: number;
  /** Share of the rows that is held out; 0.2 by default. */
  readonly validShare?: number;
  /** Decides which rows are held out, and the order of each epoch; 1 by default. */
  readonly seed?: number;
}

export const rowTable = {
  batchSize: { default: 64, check: (where: string, name: string, value: number) => needCount(where, name, value, 1) },
  validShare: { default: 0.2 },
  seed: { default: 1 },
} as const;

/** Nested lists of numbers, all of one length per level. */
export type Numbers = readonly (number | Numbers)[];

export interface ArrayLoaderOptions extends RowOptions {
  /** One item per row: a tensor [M,...], or lists of numbers, which become float32. */
  readonly x: Tensor | Numbers;
  /** A tensor [M,...] (classes are int32[M]); texts become classes, numbers float32[M,1] and lists of them float32[M,...]. */
  readonly y: Tensor | Numbers | readonly string[];
}

const isTensor = (value: ArrayLoaderOptions['y']): value is Tensor => !Array.isArray(value);

/** Lists of numbers as float32; throws `bad-argument` where their lengths differ or something is not a number. */
function numbersTensor(where: string, name: string, values: Numbers): Tensor {
  const dims: number[] = [];
  for (let level: number | Numbers | undefined = values; Array.isArray(level); level = level[0])
    dims.push(level.length);
  const flat = (values as readonly unknown[]).flat(dims.length - 1);
  const whole = flat.length === sizeOf(dims) && flat.every((value) => typeof value === 'number');
  need(whole, where, `${name} as numbers in lists of one length, [${dims}]`, values);
  return f32(dims, flat as number[]);
}

/** Classes by id, sorted, and the ids of `values`. */
export function classIdsOf(values: readonly string[], vocab = [...new Set(values)].sort()) {
  const ids = new Map(vocab.map((name, id) => [name, id]));
  return { vocab, ids: values.map((value) => ids.get(value)) };
}

function targetsOf(where: string, y: ArrayLoaderOptions['y']): { readonly y: Tensor; readonly vocab?: string[] } {
  if (isTensor(y)) return { y };
  if (typeof y[0] === 'string') {
    const { vocab, ids } = classIdsOf(y as readonly string[]);
    return { y: i32([y.length], ids as number[]), vocab };
  }
  const numbers = numbersTensor(where, 'y', y as Numbers);
  return { y: numbers.dims.length === 1 ? { ...numbers, dims: [y.length, 1] } : numbers };
}

/** The rows `items` of a tensor [M,...]. */
function takeRows<T extends Tensor>({ dtype, dims, data }: T, items: readonly number[]): T {
  const size = sizeOf(dims.slice(1));
  const rows = dtypes[dtype].make(items.length * size) as Float32Array;
  for (const [i, item] of items.entries())
    rows.set((data as Float32Array).subarray(item * size, (item + 1) * size), i * size);
  return { dtype, dims: [items.length, ...dims.slice(1)], data: rows } as unknown as T;
}

/** Batches of the rows `items`: in a new order each epoch and all of one size, or with `seed` undefined in order and all. */
export function rowLoader(x: Tensor, y: Tensor, items: readonly number[], batchSize: number, seed?: number): RowLoader {
  const size = Math.max(1, Math.min(batchSize, items.length));
  const batchesPerEpoch = seed === undefined ? Math.ceil(items.length / size) : Math.floor(items.length / size);
  return {
    batchesPerEpoch,
    async *epoch(epoch = 0, { fromBatch = 0 } = {}) {
      const order =
        seed === undefined
          ? items
          : epochOrder(items.length, items.length, seed, epoch).map(({ item }) => items[item]!);
      for (let batch = fromBatch; batch < batchesPerEpoch; batch++) {
        const rows = order.slice(batch * size, (batch + 1) * size);
        yield { x: takeRows(x, rows), y: takeRows(y, rows) };
      }
    },
  };
}

/** The numbers of the rows to train on and of those that are held out. */
export function splitRows(count: number, validShare: number, seed: number) {
  const rows = Array.from({ length: count }, (_, row) => ({ name: String(row), row }));
  const { train, valid } = shareSplit(rows, validShare, seed);
  return { train: train.map(({ row }) => row), valid: valid.map(({ row }) => row) };
}

/**
 * arrayLoaders: a learner's data from arrays in memory; some rows are held out for validation. Throws `bad-argument` unless x and y have as
 * many rows.
 */
export function arrayLoaders(options: ArrayLoaderOptions): RowLoaders {
  const where = 'arrayLoaders';
  const resolved = resolveOptions<ArrayLoaderOptions, keyof RowOptions>(
    where,
    { ...rowTable, x: { required: true }, y: { required: true } },
    options,
  );
  const { batchSize, validShare, seed } = resolved;
  for (const name of ['x', 'y'] as const)
    need(
      typeof resolved[name] === 'object' && resolved[name] !== null,
      where,
      `${name} as a tensor or lists`,
      resolved[name],
    );
  const x = isTensor(resolved.x) ? resolved.x : numbersTensor(where, 'x', resolved.x);
  const { y, vocab } = targetsOf(where, resolved.y);
  need(x.dims[0] === y.dims[0] && x.dims[0]! > 0, where, `as many rows of y as of x, ${x.dims[0]}`, y.dims[0]);
  const split = splitRows(x.dims[0]!, validShare, seed);
  return {
    train: rowLoader(x, y, split.train, batchSize, seed),
    valid: rowLoader(x, y, split.valid, batchSize),
    ...(vocab && { vocab }),
  };
}
