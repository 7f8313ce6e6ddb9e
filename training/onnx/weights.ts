import { dtypes } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import { decodeModel, type GraphProto, type TensorProto } from './schema.ts';

/** `TensorProto.DataType` of int8, which our own tensors do not have. */
export const int8Code = 3;

function bytesOf({ rawData, dataLocation = 0 }: TensorProto, name: string): Uint8Array | undefined {
  ensure(
    dataLocation === 0,
    'unsupported',
    () => `initializersOf: expected ${name} inside the file, got external data`,
  );
  // A copy: the bytes may lie unaligned in the file's buffer.
  return rawData && new Uint8Array(rawData);
}

/** The numbers of an f32 initializer. */
export function floatsOf(proto: TensorProto): Float32Array {
  const bytes = bytesOf(proto, proto.name ?? '');
  return bytes === undefined ? Float32Array.from(proto.floatData ?? []) : new Float32Array(bytes.buffer);
}

interface QuantisedWeight {
  readonly name: string;
  readonly whole: TensorProto;
  readonly scale: TensorProto;
}

/** The weights that `quantiseWeights` wrote: name = Mul(Cast(whole), scale). */
function quantisedOf({ node, initializer }: GraphProto): QuantisedWeight[] {
  const tensors = new Map(initializer.map((proto) => [proto.name, proto]));
  const casts = new Map(node.flatMap((one) => (one.opType === 'Cast' ? [[one.output[0], one.input[0]]] : [])));
  return node.flatMap(({ opType, input, output }) => {
    const whole = opType === 'Mul' ? tensors.get(casts.get(input[0])) : undefined;
    const scale = tensors.get(input[1]);
    return whole?.dataType === int8Code && scale !== undefined ? [{ name: output[0]!, whole, scale }] : [];
  });
}

/** Row i of the whole numbers times factor i. */
function rowsTimes({ name, whole, scale }: QuantisedWeight): Float32Array {
  const numbers = new Int8Array(bytesOf(whole, name)!.buffer);
  const factors = floatsOf(scale);
  const size = numbers.length / factors.length;
  return Float32Array.from(numbers, (x, i) => x * factors[Math.floor(i / size)]!);
}

/** The f32 weights of an .onnx file by name: those that it was exported with; those of `quantiseWeights` are f32 again. */
export function initializersOf(model: Uint8Array): Map<string, Float32Array> {
  const { graph } = decodeModel(model);
  const quantised = quantisedOf(graph);
  const factors = new Set(quantised.map(({ scale }) => scale));
  const floats = graph.initializer.filter((one) => one.dataType === dtypes.float32.onnxCode && !factors.has(one));
  return new Map([
    ...floats.map((proto) => [proto.name ?? '', floatsOf(proto)] as const),
    ...quantised.map((weight) => [weight.name, rowsTimes(weight)] as const),
  ]);
}
