/** A field of a protobuf message: varint (wire type 0) for numbers, length-delimited (2) for bytes; values below 128. */
function field(tag: number, value: number | readonly number[]): number[] {
  return typeof value === 'number' ? [tag << 3, value] : [(tag << 3) | 2, value.length, ...value];
}

const ascii = (text: string): number[] => [...text].map((c) => c.charCodeAt(0));

/**
 * ONNX bytes of y = op(x) for float32, opset 17, of any shape unless `size` states f32[size]. Written as raw protobuf so that
 * opening a session needs nothing of the graph builder; field numbers are onnx.proto's.
 */
function unaryModel(op: string, size?: number): Uint8Array {
  const shape = size === undefined ? [] : field(2, field(1, field(1, size))); // TensorShapeProto.dim[0].dim_value
  const type = field(1, [...field(1, 1), ...shape]); // TypeProto.tensor_type: FLOAT and the shape
  const value = (name: string): number[] => [...field(1, ascii(name)), ...field(2, type)]; // ValueInfoProto
  const node = [...field(1, ascii('x')), ...field(2, ascii('y')), ...field(4, ascii(op))]; // NodeProto
  const graph = [...field(1, node), ...field(2, ascii('probe')), ...field(11, value('x')), ...field(12, value('y'))];
  const opset = [...field(1, []), ...field(2, 17)]; // OperatorSetIdProto: the default domain
  return Uint8Array.from([...field(1, 8), ...field(7, graph), ...field(8, opset)]); // ModelProto, IR version 8
}

/** probeModel: ONNX bytes of y = Neg(x), f32[2] -> f32[2]: the smallest graph that proves a device works. */
export const probeModel = (): Uint8Array => unaryModel('Neg', 2);

/** identityModel: ONNX bytes of y = x for float32 of any shape: carries tensors to a device and back. */
export const identityModel = (): Uint8Array => unaryModel('Identity');
