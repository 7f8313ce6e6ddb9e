import { type DataOf, type DType, dtypes } from './dtype.ts';
import { ensure } from './errors.ts';

/** A dense row-major array: `data.length` is the product of `dims` (1 for a scalar, dims []). */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly dims: readonly number[];
  readonly data: DataOf[D];
}

/** Number of elements of a shape; 1 for []. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** A tensor over `data` (not copied); throws `bad-shape` unless the length fits. */
export function tensor<D extends DType>(dtype: D, dims: readonly number[], data: DataOf[D]): Tensor<D> {
  ensure(data.length === sizeOf(dims), 'bad-shape', () => {
    return `tensor: expected ${sizeOf(dims)} elements for [${dims}], got ${data.length}`;
  });
  return { dtype, dims, data };
}

/** A tensor of zeros. */
export function zeros<D extends DType>(dtype: D, dims: readonly number[]): Tensor<D> {
  return { dtype, dims, data: dtypes[dtype].make(sizeOf(dims)) as DataOf[D] };
}

/** f32 tensor from plain numbers, row-major. */
export const f32 = (dims: readonly number[], values: ArrayLike<number>): Tensor<'float32'> =>
  tensor('float32', dims, Float32Array.from(values));

/** i64 tensor from plain numbers (safe integers), row-major. */
export const i64 = (dims: readonly number[], values: readonly number[]): Tensor<'int64'> =>
  tensor('int64', dims, BigInt64Array.from(values, BigInt));

/** i32 tensor from plain numbers, row-major. */
export const i32 = (dims: readonly number[], values: ArrayLike<number>): Tensor<'int32'> =>
  tensor('int32', dims, Int32Array.from(values));
