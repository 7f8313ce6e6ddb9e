import { ensure, FettleError } from '../core/errors.ts';
import type { AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from '../onnx/schema.ts';

/*
 * Shapes of the values of a loaded graph whose inputs have known sizes: of those that are asked for, and of what they depend on. Only
 * the operators that our exported nets have in front of a computed size are known here.
 */

type Dims = readonly number[];

const attributeOf = (node: NodeProto, name: string): AttributeProto | undefined =>
  node.attribute.find((one) => one.name === name);

/** A list of whole numbers in an attribute; `missing` where it is not there. */
const intsOf = (node: NodeProto, name: string, missing: Dims): Dims =>
  attributeOf(node, name)?.ints?.map(Number) ?? missing;

export const intOf = (node: NodeProto, name: string, missing: number): number =>
  Number(attributeOf(node, name)?.i ?? missing);

export const wordOf = (node: NodeProto, name: string): string => new TextDecoder().decode(attributeOf(node, name)?.s);

/** The numbers of an int64 tensor, in whichever of its two forms. */
function wholeNumbers({ int64Data, rawData }: TensorProto): Dims {
  if (rawData === undefined || rawData.length === 0) return (int64Data ?? []).map(Number);
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return Array.from({ length: rawData.length / 8 }, (_, i) => Number(view.getBigInt64(8 * i, true)));
}

/** NumPy's rule, from the last dimension on. */
function broadcast(a: Dims, b: Dims): Dims {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [p, q] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return p === 1 ? q : p;
  });
}

/** Sizes behind windows that slide over a map [N,C,...]: of convolutions and pools. */
function slid(node: NodeProto, x: Dims, channels: number, kernel: Dims): Dims {
  const rank = kernel.length;
  const zeros = kernel.map(() => 0);
  const ones = kernel.map(() => 1);
  const [pads, strides, dilations] = [
    intsOf(node, 'pads', [...zeros, ...zeros]),
    intsOf(node, 'strides', ones),
    intsOf(node, 'dilations', ones),
  ];
  const plain = intOf(node, 'ceil_mode', 0) === 0 && ['', 'NOTSET'].includes(wordOf(node, 'auto_pad'));
  ensure(plain, 'unsupported', () => `static shapes: expected explicit pads and no ceil_mode in ${node.opType}`);
  const sizes = kernel.map((size, i) => {
    const padded = x[i + 2]! + pads[i]! + pads[i + rank]!;
    return Math.floor((padded - dilations[i]! * (size - 1) - 1) / strides[i]!) + 1;
  });
  return [x[0]!, channels, ...sizes];
}

const product = (dims: Dims): number => dims.reduce((all, size) => all * size, 1);

type Rule = (node: NodeProto, shapes: StaticShapes) => Dims;

const first: Rule = ({ input }, shapes) => shapes.shape(input[0]!);
const both: Rule = ({ input }, shapes) => broadcast(shapes.shape(input[0]!), shapes.shape(input[1]!));
const pool: Rule = (node, shapes) => {
  const x = shapes.shape(node.input[0]!);
  return slid(node, x, x[1]!, intsOf(node, 'kernel_shape', []));
};

const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    ['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh', 'Clip', 'Softmax', 'Sqrt'].map((name) => [name, first]),
  ),
  ...Object.fromEntries(['BatchNormalization', 'InstanceNormalization', 'Identity'].map((name) => [name, first])),
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div'].map((name) => [name, both])),
  MaxPool: pool,
  AveragePool: pool,
  Conv: (node, shapes) => {
    const [channels = 0, , ...kernel] = shapes.shape(node.input[1]!);
    return slid(node, shapes.shape(node.input[0]!), channels, kernel);
  },
  DepthToSpace: (node, shapes) => {
    const [n = 0, c = 0, h = 0, w = 0] = shapes.shape(node.input[0]!);
    const size = intOf(node, 'blocksize', 1);
    return [n, c / (size * size), h * size, w * size];
  },
  Concat: (node, shapes) => {
    const parts = node.input.map((name) => shapes.shape(name));
    const axis = intOf(node, 'axis', 0);
    return parts[0]!.map((size, i) => (i === axis ? parts.reduce((sum, part) => sum + part[i]!, 0) : size));
  },
  Reshape: (node, shapes) => {
    const x = shapes.shape(node.input[0]!);
    const wanted = shapes.numbers(node.input[1]!).map((size, i) => (size === 0 ? x[i]! : size));
    const rest = product(x) / product(wanted.filter((size) => size >= 0));
    return wanted.map((size) => (size < 0 ? rest : size));
  },
  Pad: (node, shapes) => {
    const x = shapes.shape(node.input[0]!);
    const pads = shapes.numbers(node.input[1]!);
    return x.map((size, i) => size + pads[i]! + pads[i + x.length]!);
  },
  Resize: (node, shapes) => shapes.numbers(node.input[3] ?? ''),
};

/** Lists of whole numbers that a graph computes from shapes. */
const listRules: Readonly<Record<string, Rule>> = {
  Shape: ({ input }, shapes) => shapes.shape(input[0]!),
  Concat: ({ input }, shapes) => input.flatMap((name) => shapes.numbers(name)),
  Slice: ({ input }, shapes) => {
    const [start = 0, end = 0] = [shapes.numbers(input[1]!)[0], shapes.numbers(input[2]!)[0]];
    return shapes.numbers(input[0]!).slice(start, end);
  },
};

export class StaticShapes {
  readonly #made: ReadonlyMap<string, NodeProto>;
  readonly #weights: ReadonlyMap<string, TensorProto>;
  readonly #inputs: ReadonlyMap<string, ValueInfoProto>;
  readonly #known = new Map<string, Dims>();

  constructor({ node, initializer, input }: GraphProto) {
    this.#made = new Map(node.flatMap((one) => one.output.map((name) => [name, one] as const)));
    this.#weights = new Map(initializer.map((one) => [one.name ?? '', one]));
    this.#inputs = new Map(input.map((one) => [one.name, one]));
  }

  /** The shape of a value. Throws `unsupported` where an operator on the way is not known here. */
  shape(name: string): Dims {
    const known = this.#known.get(name) ?? this.#find(name);
    this.#known.set(name, known);
    return known;
  }

  /** The whole numbers in a list that is a constant or computed from shapes. */
  numbers(name: string): Dims {
    const weights = this.#weights.get(name);
    if (weights !== undefined) return wholeNumbers(weights);
    return this.#apply(name, listRules);
  }

  #find(name: string): Dims {
    const weights = this.#weights.get(name);
    if (weights !== undefined) return weights.dims.map(Number);
    const input = this.#inputs.get(name)?.type?.tensorType?.shape?.dim;
    return input?.map(({ dimValue }) => Number(dimValue)) ?? this.#apply(name, rules);
  }

  #apply(name: string, table: Readonly<Record<string, Rule>>): Dims {
    const node = this.#made.get(name);
    const rule = table[node?.opType ?? ''];
    if (node !== undefined && rule !== undefined) return rule(node, this);
    throw new FettleError(
      'unsupported',
      `static shapes: expected one of ${Object.keys(table)} for ${name}, got ${node?.opType}`,
    );
  }
}
