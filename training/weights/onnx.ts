import { ensure } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import { decodeModel, type TensorProto } from '../onnx/schema.ts';
import { isCount, type StoredType, storedTensor } from './stored.ts';

/*
 * The initializers of an ONNX model: `TensorProto` with the numbers in `raw_data`, or in the field that goes with the type
 * (onnx.proto3: int32_data also holds what is smaller, 16-bit floats as their bits).
 */

type Field = 'floatData' | 'int32Data' | 'int64Data' | 'doubleData';
type BytesOf = (values: readonly (number | bigint)[]) => ArrayBufferView;

interface TypeRow {
  readonly type: StoredType;
  readonly field: Field;
  readonly pack: BytesOf;
}

const row = (type: StoredType, field: Field, pack: BytesOf): TypeRow => ({ type, field, pack });

/** By `TensorProto.DataType`. */
const types: ReadonlyMap<number, TypeRow> = new Map([
  [1, row('F32', 'floatData', (values) => Float32Array.from(values, Number))],
  [2, row('U8', 'int32Data', (values) => Uint8Array.from(values, Number))],
  [3, row('I8', 'int32Data', (values) => Int8Array.from(values, Number))],
  [4, row('U16', 'int32Data', (values) => Uint16Array.from(values, Number))],
  [5, row('I16', 'int32Data', (values) => Int16Array.from(values, Number))],
  [6, row('I32', 'int32Data', (values) => Int32Array.from(values, Number))],
  [7, row('I64', 'int64Data', (values) => BigInt64Array.from(values, BigInt))],
  [9, row('BOOL', 'int32Data', (values) => Uint8Array.from(values, Number))],
  [10, row('F16', 'int32Data', (values) => Uint16Array.from(values, Number))],
  [11, row('F64', 'doubleData', (values) => Float64Array.from(values, Number))],
  [16, row('BF16', 'int32Data', (values) => Uint16Array.from(values, Number))],
]);

function tensorOf(proto: TensorProto, what: string): Tensor {
  const where = `${what}, ${proto.name ?? 'an initializer without name'}`;
  ensure((proto.dataLocation ?? 0) === 0, 'unsupported', () => {
    return `${where}: expected the numbers inside the file, got them in a file beside it; in Python, onnx.save(onnx.load(path), other, save_as_external_data=False)`;
  });
  const found = types.get(proto.dataType);
  ensure(found !== undefined, 'unsupported', () => {
    return `${where}: expected floats, integers of up to 64 bits or bools, got ONNX data type ${proto.dataType}`;
  });
  const packed = proto.rawData ?? found.pack(proto[found.field] ?? []);
  const bytes = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  ensure(
    proto.dims.every(isCount),
    'bad-checkpoint',
    () => `${where}: expected sizes, got [${proto.dims}]; the file is damaged`,
  );
  return storedTensor(found.type, proto.dims.map(Number), bytes, where);
}

/** The initializers of an .onnx file by name. Throws `bad-model`, `bad-checkpoint`, `unsupported`. */
export function readOnnx(bytes: Uint8Array, what: string): Map<string, Tensor> {
  const { graph } = decodeModel(bytes);
  ensure(graph !== undefined, 'bad-model', () => `${what}: expected an ONNX model with a graph, got none`);
  return new Map(graph.initializer.map((proto) => [proto.name ?? '', tensorOf(proto, what)]));
}
