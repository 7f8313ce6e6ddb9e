import { FettleError } from './errors.ts';

/** Element types that fettle's tensors have, by their ONNX Runtime names. */
export type DType = 'float32' | 'float64' | 'int32' | 'int64' | 'uint8' | 'uint32' | 'bool';

/** The typed array behind each dtype. Bools are bytes 0 or 1. */
export interface DataOf {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint32: Uint32Array;
  bool: Uint8Array;
}

interface DTypeRow {
  /** `TensorProto.DataType` in onnx.proto. */
  readonly onnxCode: number;
  readonly byteSize: number;
  readonly make: (source: number | ArrayBuffer, byteOffset?: number, length?: number) => DataOf[DType];
}

const row = (onnxCode: number, byteSize: number, make: DTypeRow['make']): DTypeRow => ({ onnxCode, byteSize, make });

/** One row per dtype: its ONNX code, its size in bytes and how its array is made. */
export const dtypes: Record<DType, DTypeRow> = {
  float32: row(1, 4, (s, o, n) => new Float32Array(s as ArrayBuffer, o, n)),
  uint8: row(2, 1, (s, o, n) => new Uint8Array(s as ArrayBuffer, o, n)),
  int32: row(6, 4, (s, o, n) => new Int32Array(s as ArrayBuffer, o, n)),
  int64: row(7, 8, (s, o, n) => new BigInt64Array(s as ArrayBuffer, o, n)),
  bool: row(9, 1, (s, o, n) => new Uint8Array(s as ArrayBuffer, o, n)),
  float64: row(11, 8, (s, o, n) => new Float64Array(s as ArrayBuffer, o, n)),
  uint32: row(12, 4, (s, o, n) => new Uint32Array(s as ArrayBuffer, o, n)),
};

/** The dtype that has `onnxCode`; throws `unsupported` for one that fettle does not know. */
export function dtypeOfCode(onnxCode: number): DType {
  for (const [name, entry] of Object.entries(dtypes)) if (entry.onnxCode === onnxCode) return name as DType;
  throw new FettleError('unsupported', `dtypeOfCode: expected a known ONNX data type, got code ${onnxCode}`);
}
