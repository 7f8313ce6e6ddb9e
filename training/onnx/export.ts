import { dtypes } from '../core/dtype.ts';
import { type Dim, showDim } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';
import type { Attr, Graph, Node, Value } from './graph.ts';
import { defaultOpset, needOpsetOf } from './opsets.ts';
import {
  type AttributeProto,
  attributeTypes,
  type DimensionProto,
  encodeModel,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './schema.ts';

export interface ExportOptions {
  /** Version of the default operator set, 18 by default: up to 21, down to the oldest that has the graph's nodes as they are (12 to 18). */
  readonly opset?: number;
  /** Further operator sets by domain. */
  readonly domains?: Readonly<Record<string, number>>;
  /** Key-value pairs stored in the model. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** IR version that goes with each opset we emit; the pairs of the ONNX release table. */
const irVersionOf = (opset: number): number => (opset <= 12 ? 7 : opset <= 18 ? 8 : 10);

const utf8 = new TextEncoder();

/** What a value is called in the file. */
type NameOf = (value: Value) => string;

function attributeProto(name: string, attr: Attr, nameOf: NameOf): AttributeProto {
  const type = attributeTypes[attr.kind];
  switch (attr.kind) {
    case 'int':
      return { name, type, i: attr.value };
    case 'float':
      return { name, type, f: attr.value };
    case 'string':
      return { name, type, s: utf8.encode(attr.value) };
    case 'ints':
      return { name, type, ints: [...attr.value] };
    case 'floats':
      return { name, type, floats: [...attr.value] };
    case 'strings':
      return { name, type, strings: attr.value.map((text) => utf8.encode(text)) };
    case 'graph':
      return { name, type, g: graphProto(attr.value, nameOf) };
  }
}

/** The message of a tensor, elements as little-endian raw bytes (not copied). */
export function tensorProto(name: string, tensor: Tensor): TensorProto {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return {
    name,
    dims: [...tensor.dims],
    dataType: dtypes[tensor.dtype].onnxCode,
    rawData: new Uint8Array(buffer, byteOffset, byteLength),
  };
}

const dimensionProto = (dim: Dim): DimensionProto =>
  typeof dim === 'number' ? { dimValue: dim } : { dimParam: showDim(dim) };

const valueInfoProto = (name: string, value: Value): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType: dtypes[value.dtype].onnxCode, shape: { dim: value.shape.map(dimensionProto) } } },
});

/** Values get their public names: a graph output's name replaces the internal one of the node that makes it. */
function publicNames(graph: Graph): Map<Value, string> {
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  const names = new Map<Value, string>();
  for (const { name, value } of graph.outputs) if (made.has(value) && !names.has(value)) names.set(value, name);
  return names;
}

function nodeProto(node: Node, nameOf: NameOf): NodeProto {
  return {
    opType: node.op,
    name: node.name,
    ...(node.domain === '' ? {} : { domain: node.domain }),
    input: node.inputs.map((input) => (input === undefined ? '' : nameOf(input))),
    output: node.outputs.map(nameOf),
    attribute: Object.entries(node.attrs).map(([key, attr]) => attributeProto(key, attr, nameOf)),
  };
}

/** Outputs that are not made by a node of their own (inputs, constants, a value exported twice) pass through Identity. */
function identities(graph: Graph, names: ReadonlyMap<Value, string>): NodeProto[] {
  return graph.outputs
    .filter(({ name, value }) => names.get(value) !== name)
    .map(({ name, value }) => ({
      opType: 'Identity',
      name: `${name}/Identity`,
      input: [names.get(value) ?? value.name],
      output: [name],
      attribute: [],
    }));
}

/** Constants that some node or output uses become initializers; `outerName` names the values around a body. */
function graphProto(graph: Graph, outerName?: NameOf): GraphProto {
  const names = publicNames(graph);
  const nameOf = (value: Value): string =>
    value.outer !== undefined && outerName ? outerName(value.outer) : (names.get(value) ?? value.name);
  const constants = new Set<Value>();
  for (const value of [...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs.map((output) => output.value)]) {
    if (value?.constant !== undefined && value.outer === undefined) constants.add(value);
  }
  return {
    name: graph.name,
    node: [...graph.nodes.map((node) => nodeProto(node, nameOf)), ...identities(graph, names)],
    initializer: [...constants].map((value) => tensorProto(value.name, value.constant!)),
    input: graph.inputs.map((input) => valueInfoProto(input.name, input)),
    output: graph.outputs.map(({ name, value }) => valueInfoProto(name, value)),
    valueInfo: [],
  };
}

/** The graph as a `ModelProto`; throws `bad-argument` for an opset under which its nodes would mean something else or nothing. */
export function toModelProto(graph: Graph, options: ExportOptions = {}): ModelProto {
  const opset = options.opset ?? defaultOpset;
  needOpsetOf(graph, opset);
  return {
    irVersion: irVersionOf(opset),
    producerName: 'fettle',
    graph: graphProto(graph),
    opsetImport: [
      { domain: '', version: opset },
      ...Object.entries(options.domains ?? {}).map(([domain, version]) => ({ domain, version })),
    ],
    metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
  };
}

/** The graph as the bytes of an .onnx file. */
export const toOnnx = (graph: Graph, options: ExportOptions = {}): Uint8Array =>
  encodeModel(toModelProto(graph, options));
