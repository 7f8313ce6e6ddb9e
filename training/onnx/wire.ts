import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { FettleError } from '../core/errors.ts';

/** Protobuf scalar kinds that ONNX uses. int64 is a number while it is a safe integer, else a bigint. */
export type ScalarKind = 'int32' | 'int64' | 'uint64' | 'float' | 'double' | 'string' | 'bytes';

export interface FieldSpec {
  readonly no: number;
  readonly kind: ScalarKind | (() => MessageSpec);
  readonly repeated: boolean;
}

/** Fields of a protobuf message by the property name they get in TypeScript. */
export type MessageSpec = Readonly<Record<string, FieldSpec>>;
type Message = Record<string, unknown>;

export const one = (no: number, kind: FieldSpec['kind']): FieldSpec => ({ no, kind, repeated: false });
export const many = (no: number, kind: FieldSpec['kind']): FieldSpec => ({ no, kind, repeated: true });

const wireTypes: Record<ScalarKind, WireType> = {
  int32: WireType.Varint,
  int64: WireType.Varint,
  uint64: WireType.Varint,
  float: WireType.Bit32,
  double: WireType.Bit64,
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
};

function writeScalar(writer: BinaryWriter, kind: ScalarKind, value: unknown): void {
  if (kind === 'string') writer.string(value as string);
  else if (kind === 'bytes') writer.bytes(value as Uint8Array);
  else if (kind === 'int64' || kind === 'uint64') writer[kind](value as number | bigint);
  else writer[kind](value as number);
}

function writeField(writer: BinaryWriter, field: FieldSpec, value: unknown): void {
  const { no, kind } = field;
  if (typeof kind === 'function') {
    writer.tag(no, WireType.LengthDelimited).fork();
    writeMessage(writer, kind(), value as Message);
    writer.join();
  } else {
    writer.tag(no, wireTypes[kind]);
    writeScalar(writer, kind, value);
  }
}

function writePacked(writer: BinaryWriter, field: FieldSpec, kind: ScalarKind, values: readonly unknown[]): void {
  writer.tag(field.no, WireType.LengthDelimited).fork();
  for (const value of values) writeScalar(writer, kind, value);
  writer.join();
}

const isPackable = (kind: FieldSpec['kind']): kind is ScalarKind =>
  typeof kind === 'string' && kind !== 'string' && kind !== 'bytes';

function writeMessage(writer: BinaryWriter, spec: MessageSpec, message: Message): void {
  for (const [key, field] of Object.entries(spec)) {
    const value = message[key];
    if (value === undefined) continue;
    if (!field.repeated) writeField(writer, field, value);
    else if (isPackable(field.kind))
      (value as unknown[]).length > 0 && writePacked(writer, field, field.kind, value as unknown[]);
    else for (const item of value as unknown[]) writeField(writer, field, item);
  }
}

const shrink = (value: string | bigint | number): number | bigint => {
  const big = BigInt(value);
  return big >= Number.MIN_SAFE_INTEGER && big <= Number.MAX_SAFE_INTEGER ? Number(big) : big;
};

function readScalar(reader: BinaryReader, kind: ScalarKind): unknown {
  return kind === 'int64' || kind === 'uint64' ? shrink(reader[kind]()) : reader[kind]();
}

function readField(reader: BinaryReader, field: FieldSpec, wireType: WireType, into: unknown[]): void {
  const { kind } = field;
  if (typeof kind === 'function') into.push(readMessage(reader, kind(), reader.uint32()));
  else if (isPackable(kind) && wireType === WireType.LengthDelimited) {
    const end = reader.uint32() + reader.pos;
    while (reader.pos < end) into.push(readScalar(reader, kind));
  } else into.push(readScalar(reader, kind));
}

function readMessage(reader: BinaryReader, spec: MessageSpec, length: number): Message {
  const byNumber = new Map(Object.entries(spec).map(([key, field]) => [field.no, { key, field }]));
  const message: Message = {};
  for (const [key, field] of Object.entries(spec)) if (field.repeated) message[key] = [];
  const end = reader.pos + length;
  while (reader.pos < end) {
    const [no, wireType] = reader.tag();
    const entry = byNumber.get(no);
    if (entry === undefined) reader.skip(wireType, no);
    else if (entry.field.repeated) readField(reader, entry.field, wireType, message[entry.key] as unknown[]);
    else {
      const values: unknown[] = [];
      readField(reader, entry.field, wireType, values);
      message[entry.key] = values.at(-1);
    }
  }
  return message;
}

/** Protobuf bytes of `message`, fields in the order of `spec`; undefined properties are omitted. */
export function encodeMessage<T extends object>(spec: MessageSpec, message: T): Uint8Array {
  const writer = new BinaryWriter();
  writeMessage(writer, spec, message as Message);
  return writer.finish();
}

/** Reads a message; unknown fields are skipped, repeated fields are always arrays. Throws `bad-model` on malformed bytes. */
export function decodeMessage<T extends object>(spec: MessageSpec, bytes: Uint8Array, what: string): T {
  try {
    return readMessage(new BinaryReader(bytes), spec, bytes.length) as T;
  } catch (cause) {
    throw new FettleError(
      'bad-model',
      `decodeMessage: expected ${what} as protobuf, got malformed bytes; the file may be truncated`,
      { cause },
    );
  }
}
