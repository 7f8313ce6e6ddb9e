import { dtypes } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import { decodeModel, type TensorProto } from './schema.ts';

function floatsOf(proto: TensorProto, name: string): Float32Array {
  ensure(
    (proto.dataLocation ?? 0) === 0,
    'unsupported',
    () => `initializersOf: expected ${name} inside the file, got external data`,
  );
  if (proto.rawData === undefined) return Float32Array.from(proto.floatData ?? []);
  // A copy: the bytes may lie unaligned in the file's buffer.
  return new Float32Array(new Uint8Array(proto.rawData).buffer);
}

/** The f32 initializers of an .onnx file by name: the weights that it was exported with. */
export function initializersOf(model: Uint8Array): Map<string, Float32Array> {
  const floats = decodeModel(model).graph.initializer.filter((proto) => proto.dataType === dtypes.float32.onnxCode);
  return new Map(floats.map((proto) => [proto.name ?? '', floatsOf(proto, proto.name ?? '')]));
}
