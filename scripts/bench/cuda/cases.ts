import { type DType, dtypes } from '../../../training/core/dtype.ts';
import { sizeOf, type Tensor, tensor } from '../../../training/core/tensor.ts';
import type { Tensors } from '../../../training/run/session.ts';

/** A tensor in JSON: `data` is base64 of its bytes. */
export interface PackedTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: string;
}
export type PackedTensors = Readonly<Record<string, PackedTensor>>;

/** A graph, what it is run on, and what comes out elsewhere (PyTorch or the CPU). */
export interface ContractCase {
  readonly title: string;
  /** base64 of the ONNX model. */
  readonly model: string;
  readonly runs: readonly { readonly feeds: PackedTensors; readonly expected: PackedTensors }[];
  /** `relative`: to the largest expected value, as in the contract of backends; `absolute`: per value. */
  readonly measure: 'relative' | 'absolute';
  readonly bound: number;
  /** Every node has a kernel on the device. Shapes that a graph computes are on the CPU by ONNX Runtime's own choice. */
  readonly strict: boolean;
}

/** What `prepare` writes and `run` reads. */
export interface Cases {
  /** ONNX Runtime that computed the references. */
  readonly reference: string;
  readonly contract: readonly ContractCase[];
  /** Losses of each net on the CPU: one for each step, and one after the last. */
  readonly losses: Readonly<Record<string, readonly number[]>>;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Tensor['data']): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

export const pack = (tensors: Tensors): PackedTensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, dims, data }]) => [
      name,
      { dtype, dims, data: bytesOf(data).toString('base64') },
    ]),
  );

export const unpack = (packed: PackedTensors): Tensors =>
  Object.fromEntries(
    Object.entries(packed).map(([name, { dtype, dims, data }]) => {
      const values = dtypes[dtype].make(sizeOf(dims));
      bytesOf(values).set(Buffer.from(data, 'base64'));
      return [name, tensor(dtype, dims, values as never)];
    }),
  );

/** The largest difference; `relative` divides it by the largest expected value. NaN and other sizes are infinite. */
export function difference(found: Tensor | undefined, expected: Tensor, measure: ContractCase['measure']): number {
  if (found === undefined || found.data.length !== expected.data.length) return Number.POSITIVE_INFINITY;
  let [most, scale] = [0, 0];
  for (const [i, value] of expected.data.entries()) {
    const off = Math.abs(Number(found.data[i]) - Number(value));
    if (Number.isNaN(off)) return Number.POSITIVE_INFINITY;
    most = Math.max(most, off);
    scale = Math.max(scale, Math.abs(Number(value)));
  }
  return measure === 'relative' ? most / (scale || 1) : most;
}
