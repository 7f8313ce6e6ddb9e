import type { DType } from '../core/dtype.ts';
import { ensure, FettleError } from '../core/errors.ts';
import { sizeOf, type Tensor, tensor } from '../core/tensor.ts';

/** Element types of an idx file by the third byte of its magic number: our dtype, bytes of one, and how one is read. */
const types: Readonly<Record<number, { dtype: DType; bytes: number; read: (view: DataView, at: number) => number }>> = {
  8: { dtype: 'uint8', bytes: 1, read: (view, at) => view.getUint8(at) },
  9: { dtype: 'int32', bytes: 1, read: (view, at) => view.getInt8(at) },
  11: { dtype: 'int32', bytes: 2, read: (view, at) => view.getInt16(at) },
  12: { dtype: 'int32', bytes: 4, read: (view, at) => view.getInt32(at) },
  13: { dtype: 'float32', bytes: 4, read: (view, at) => view.getFloat32(at) },
  14: { dtype: 'float64', bytes: 8, read: (view, at) => view.getFloat64(at) },
};

/**
 * parseIdx: the bytes of an idx file (MNIST's format: magic 0 0 type rank, sizes as big-endian u32, elements) -> tensor.
 * Bytes are not copied. Throws `bad-data` if magic, sizes and length do not fit each other.
 */
export function parseIdx(bytes: Uint8Array, where = 'idx'): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [zero, code, rank] = bytes.length < 4 ? [-1, 0, 0] : [view.getUint16(0), bytes[2]!, bytes[3]!];
  const type = types[code];
  if (zero !== 0 || type === undefined || rank < 1) {
    const start = [...bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new FettleError('bad-data', `${where}: expected an idx file (00 00 type rank), got ${start || 'no bytes'}`);
  }
  const header = 4 + 4 * rank;
  ensure(bytes.length >= header, 'bad-data', () => `${where}: expected ${header} bytes of header, got ${bytes.length}`);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const count = sizeOf(dims);
  ensure(bytes.length === header + count * type.bytes, 'bad-data', () => {
    return `${where}: expected ${header + count * type.bytes} bytes for [${dims}], got ${bytes.length}; the file is cut short or not idx`;
  });
  if (type.dtype === 'uint8') return tensor('uint8', dims, bytes.subarray(header));
  const values = Array.from({ length: count }, (_, i) => type.read(view, header + i * type.bytes));
  if (type.dtype === 'int32') return tensor('int32', dims, Int32Array.from(values));
  if (type.dtype === 'float32') return tensor('float32', dims, Float32Array.from(values));
  return tensor('float64', dims, Float64Array.from(values));
}
