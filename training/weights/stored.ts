import type { DataOf, DType } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';

/*
 * Numbers as files keep them, little-endian. What fettle's tensors have no type for is widened without loss: 16-bit floats to
 * float32, small integers to int32.
 */

/** Element types of weights on disk, by safetensors' names. */
export type StoredType = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'U32' | 'I16' | 'U16' | 'I8' | 'U8' | 'BOOL';

interface StoredRow {
  readonly byteSize: number;
  readonly dtype: DType;
  readonly read: (bytes: Uint8Array) => DataOf[DType];
}

type ArrayClass<T> = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => T;

/** The bytes as numbers: in place where their address is a multiple of the size, else copied. */
function numbers<T>(make: ArrayClass<T>, bytes: Uint8Array, byteSize: number): T {
  const aligned = bytes.byteOffset % byteSize === 0 ? bytes : new Uint8Array(bytes);
  return new make(aligned.buffer, aligned.byteOffset, aligned.byteLength / byteSize);
}

/** sign, 5 bits of exponent, 10 of fraction (IEEE 754 binary16) -> its value. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, (bits & 1023) / 1024];
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

let halves: Float32Array | undefined;

function widenHalves(bytes: Uint8Array): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => halfValue(bits));
  const table = halves;
  return Float32Array.from(numbers(Uint16Array, bytes, 2), (bits) => table[bits]!);
}

/** bfloat16 is the upper half of a float32. */
function widenBfloats(bytes: Uint8Array): Float32Array {
  const upper = Uint32Array.from(numbers(Uint16Array, bytes, 2), (bits) => bits << 16);
  return new Float32Array(upper.buffer);
}

const plain = <D extends DType>(byteSize: number, dtype: D, make: ArrayClass<DataOf[D]>): StoredRow => ({
  byteSize,
  dtype,
  read: (bytes) => numbers(make, bytes, byteSize),
});

const small = (byteSize: number, make: ArrayClass<Int8Array | Int16Array | Uint16Array>): StoredRow => ({
  byteSize,
  dtype: 'int32',
  read: (bytes) => Int32Array.from(numbers(make, bytes, byteSize)),
});

const storedTypes: Record<StoredType, StoredRow> = {
  F64: plain(8, 'float64', Float64Array),
  F32: plain(4, 'float32', Float32Array),
  F16: { byteSize: 2, dtype: 'float32', read: widenHalves },
  BF16: { byteSize: 2, dtype: 'float32', read: widenBfloats },
  I64: plain(8, 'int64', BigInt64Array),
  I32: plain(4, 'int32', Int32Array),
  U32: plain(4, 'uint32', Uint32Array),
  I16: small(2, Int16Array),
  U16: small(2, Uint16Array),
  I8: small(1, Int8Array),
  U8: plain(1, 'uint8', Uint8Array),
  BOOL: plain(1, 'bool', Uint8Array),
};

/** Every type, for error texts. */
export const storedTypeNames = Object.keys(storedTypes).join(', ');

/** Bytes per element; undefined for a type that is not read. */
export const byteSizeOf = (type: string): number | undefined =>
  Object.hasOwn(storedTypes, type) ? storedTypes[type as StoredType].byteSize : undefined;

/** The numbers of `bytes`, whose length is a multiple of the type's. They may share the memory of `bytes`. */
export const readStored = (type: StoredType, bytes: Uint8Array): DataOf[DType] => storedTypes[type].read(bytes);

/** A dense tensor of `bytes`; throws `bad-checkpoint` unless they are as many as the dims need. */
export function storedTensor(type: StoredType, dims: readonly number[], bytes: Uint8Array, where: string): Tensor {
  const { byteSize, dtype, read } = storedTypes[type];
  ensure(dims.every(isCount) && sizeOf(dims) * byteSize === bytes.length, 'bad-checkpoint', () => {
    return `${where}: expected ${type} [${dims}], got ${bytes.length} bytes; the file is damaged`;
  });
  return { dtype, dims, data: read(bytes) } as Tensor;
}

/** The tensor of numbers read by {@link readStored}. */
export const tensorOfStored = (type: StoredType, dims: readonly number[], data: DataOf[DType]): Tensor =>
  ({ dtype: storedTypes[type].dtype, dims, data }) as Tensor;

/** Whether a value from a file is a whole number from 0. */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
