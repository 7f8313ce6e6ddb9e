import { decodeMessage, encodeMessage, type MessageSpec, many, one } from './wire.ts';

/*
 * The messages of ONNX IR version 10 that fettle reads and writes, with the field numbers of the specification's
 * onnx.proto3. Strings inside attributes are bytes there, and so here.
 */

export interface DimensionProto {
  dimValue?: number;
  dimParam?: string;
}
export interface TensorShapeProto {
  dim: DimensionProto[];
}
export interface TensorTypeProto {
  elemType: number;
  shape?: TensorShapeProto;
}
export interface TypeProto {
  tensorType?: TensorTypeProto;
  sequenceType?: { elemType: TypeProto };
}
export interface ValueInfoProto {
  name: string;
  type?: TypeProto;
}
export interface StringStringEntryProto {
  key: string;
  value: string;
}
export interface TensorProto {
  dims: (number | bigint)[];
  dataType: number;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: (number | bigint)[];
  doubleData?: number[];
  name?: string;
  rawData?: Uint8Array;
  externalData?: StringStringEntryProto[];
  /** 0 in the message, 1 in an external file. */
  dataLocation?: number;
}
/** `AttributeProto.AttributeType`. */
export const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const;
export interface AttributeProto {
  name: string;
  type: number;
  f?: number;
  i?: number | bigint;
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  floats?: number[];
  ints?: (number | bigint)[];
  strings?: Uint8Array[];
}
export interface NodeProto {
  input: string[];
  output: string[];
  name?: string;
  opType: string;
  domain?: string;
  attribute: AttributeProto[];
}
export interface GraphProto {
  node: NodeProto[];
  name?: string;
  initializer: TensorProto[];
  docString?: string;
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
}
export interface OperatorSetIdProto {
  domain?: string;
  version: number;
}
export interface ModelProto {
  irVersion: number;
  producerName?: string;
  producerVersion?: string;
  docString?: string;
  graph: GraphProto;
  opsetImport: OperatorSetIdProto[];
  metadataProps: StringStringEntryProto[];
}

const dimension: MessageSpec = { dimValue: one(1, 'int64'), dimParam: one(2, 'string') };
const tensorShape: MessageSpec = { dim: many(1, () => dimension) };
const tensorType: MessageSpec = { elemType: one(1, 'int32'), shape: one(2, () => tensorShape) };
const sequenceType: MessageSpec = { elemType: one(1, () => type) };
const type: MessageSpec = { tensorType: one(1, () => tensorType), sequenceType: one(4, () => sequenceType) };
const valueInfo: MessageSpec = { name: one(1, 'string'), type: one(2, () => type) };
const entry: MessageSpec = { key: one(1, 'string'), value: one(2, 'string') };
const tensor: MessageSpec = {
  dims: many(1, 'int64'),
  dataType: one(2, 'int32'),
  floatData: many(4, 'float'),
  int32Data: many(5, 'int32'),
  int64Data: many(7, 'int64'),
  name: one(8, 'string'),
  rawData: one(9, 'bytes'),
  doubleData: many(10, 'double'),
  externalData: many(13, () => entry),
  dataLocation: one(14, 'int32'),
};
const attribute: MessageSpec = {
  name: one(1, 'string'),
  f: one(2, 'float'),
  i: one(3, 'int64'),
  s: one(4, 'bytes'),
  t: one(5, () => tensor),
  g: one(6, () => graph),
  floats: many(7, 'float'),
  ints: many(8, 'int64'),
  strings: many(9, 'bytes'),
  type: one(20, 'int32'),
};
const node: MessageSpec = {
  input: many(1, 'string'),
  output: many(2, 'string'),
  name: one(3, 'string'),
  opType: one(4, 'string'),
  attribute: many(5, () => attribute),
  domain: one(7, 'string'),
};
const graph: MessageSpec = {
  node: many(1, () => node),
  name: one(2, 'string'),
  initializer: many(5, () => tensor),
  docString: one(10, 'string'),
  input: many(11, () => valueInfo),
  output: many(12, () => valueInfo),
  valueInfo: many(13, () => valueInfo),
};
const operatorSetId: MessageSpec = { domain: one(1, 'string'), version: one(2, 'int64') };
const model: MessageSpec = {
  irVersion: one(1, 'int64'),
  producerName: one(2, 'string'),
  producerVersion: one(3, 'string'),
  docString: one(6, 'string'),
  graph: one(7, () => graph),
  opsetImport: many(8, () => operatorSetId),
  metadataProps: many(14, () => entry),
};

/** The bytes of an .onnx file. */
export const encodeModel = (proto: ModelProto): Uint8Array => encodeMessage(model, proto);

/** Reads an .onnx file; throws `bad-model` when the bytes are not one. */
export const decodeModel = (bytes: Uint8Array): ModelProto => decodeMessage<ModelProto>(model, bytes, 'an ONNX model');
