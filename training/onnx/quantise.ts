import { dtypes } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import {
  attributeTypes,
  decodeModel,
  encodeModel,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './schema.ts';
import { floatsOf, int8Code } from './weights.ts';

export interface QuantiseOptions {
  /** Weights with fewer numbers stay as they are; 4096 by default. */
  readonly least?: number;
}

/** A weight whose rows are whole numbers -127..127 times one factor each. */
interface Rows {
  readonly whole: Int8Array;
  readonly scale: Float32Array;
}

/** Each row by its largest number, so that no number is off by more than 1/254 of that: row[i] = whole[i] scale + at most scale / 2. */
function quantiseRows(data: Float32Array, rows: number, name: string): Rows {
  const size = data.length / rows;
  const whole = new Int8Array(data.length);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const numbers = data.subarray(row * size, (row + 1) * size);
    const largest = numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    ensure(Number.isFinite(largest), 'bad-model', () => {
      return `quantiseWeights: expected finite numbers, got ${largest} in row ${row} of ${name}; the training went wrong`;
    });
    scale[row] = largest / 127;
    if (scale[row] === 0) continue;
    for (let i = 0; i < size; i++)
      whole[row * size + i] = Math.max(-127, Math.min(127, Math.round(numbers[i]! / scale[row]!)));
  }
  return { whole, scale };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int8Array | Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** The weight as the nodes Cast and Mul make it; their result has the weight's name, so nothing else of the graph changes. */
function quantised(proto: TensorProto): { readonly tensors: TensorProto[]; readonly nodes: NodeProto[] } {
  const name = proto.name!;
  const dims = proto.dims.map(Number);
  const { whole, scale } = quantiseRows(floatsOf(proto), dims[0]!, name);
  const [wholeName, scaleName, castName] = [`${name}/int8`, `${name}/scale`, `${name}/float`];
  const to = { name: 'to', type: attributeTypes.int, i: dtypes.float32.onnxCode };
  return {
    tensors: [
      { name: wholeName, dims, dataType: int8Code, rawData: bytesOf(whole) },
      {
        name: scaleName,
        dims: dims.map((dim, axis) => (axis === 0 ? dim : 1)),
        dataType: dtypes.float32.onnxCode,
        rawData: bytesOf(scale),
      },
    ],
    nodes: [
      { opType: 'Cast', name: `${name}/Cast`, input: [wholeName], output: [castName], attribute: [to] },
      { opType: 'Mul', name: `${name}/Mul`, input: [castName, scaleName], output: [name], attribute: [] },
    ],
  };
}

/** Weights that make the file large: of rank 2 or more, and not inputs with a default. */
function isLarge(proto: TensorProto, graph: GraphProto, least: number): boolean {
  const size = proto.dims.reduce<number>((product, dim) => product * Number(dim), 1);
  const isFloat = proto.dataType === dtypes.float32.onnxCode;
  return isFloat && proto.dims.length >= 2 && size >= least && !graph.input.some(({ name }) => name === proto.name);
}

/**
 * quantiseWeights: an f32 .onnx file -> the same net a quarter of the size. Large weights lie in it as int8 with a factor per row of their first
 * axis (a word of an embedding, an output of a layer, a row of a gate), and two stock operators make them f32 again. ONNX Runtime folds those
 * when it loads the file, so memory, speed and arithmetic are those of f32; every number is within 1/254 of the largest of its row.
 * (DequantizeLinear would be one operator, but ONNX Runtime leaves it for its int8 kernels, and computes all weights anew in every run.)
 * `initializersOf` reads such weights as f32.
 */
export function quantiseWeights(model: Uint8Array, { least = 4096 }: QuantiseOptions = {}): Uint8Array {
  const proto = decodeModel(model);
  const { graph } = proto;
  const [large, rest] = [true, false].map((wanted) =>
    graph.initializer.filter((one) => isLarge(one, graph, least) === wanted),
  ) as [TensorProto[], TensorProto[]];
  const made = large.map(quantised);
  const node = [...made.flatMap(({ nodes }) => nodes), ...graph.node];
  const initializer = [...rest, ...made.flatMap(({ tensors }) => tensors)];
  return encodeModel({ ...proto, graph: { ...graph, node, initializer } });
}
