import { Builder } from 'flatbuffers';
import { FettleError } from '../core/errors.ts';

/*
 * FlatBuffers (flatbuffers.dev/internals) by description, as training/onnx/wire.ts has protobuf. A table's fields are known
 * by their slot, the place in the schema. Google's builder lays a buffer out; reading is done here, because a buffer can say
 * anything about where its parts lie and every step has to be checked.
 */

/** `bytes` is a vector of u8, `longs` one of i64; the rest as in a schema. */
type FlatKind = 'int' | 'long' | 'float' | 'bool' | 'text' | 'bytes' | 'longs';

interface FlatField {
  readonly slot: number;
  readonly kind: FlatKind | (() => FlatSpec);
  /** A vector of tables. */
  readonly repeated: boolean;
}

/** Fields of a table by the property name they get in TypeScript. */
export type FlatSpec = Readonly<Record<string, FlatField>>;
type FlatRecord = Record<string, unknown>;

export const field = (slot: number, kind: FlatField['kind']): FlatField => ({ slot, kind, repeated: false });
export const tables = (slot: number, kind: () => FlatSpec): FlatField => ({ slot, kind, repeated: true });

/** Bytes of the vector's elements begin at a multiple of 8, so that a reader may look at them as floats or longs in place. */
function writeBytes(builder: Builder, bytes: Uint8Array): number {
  builder.prep(8, bytes.length);
  return builder.createByteVector(bytes);
}

function writeLongs(builder: Builder, values: readonly number[]): number {
  builder.startVector(8, values.length, 8);
  for (const value of values.toReversed()) builder.addInt64(BigInt(value));
  return builder.endVector();
}

function writeTables(builder: Builder, spec: FlatSpec, records: readonly FlatRecord[]): number {
  const offsets = records.map((record) => writeTable(builder, spec, record));
  builder.startVector(4, offsets.length, 4);
  for (const offset of offsets.toReversed()) builder.addOffset(offset);
  return builder.endVector();
}

/** Writes what lies outside the table itself and returns where; undefined for what lies inside. */
function writePart(builder: Builder, { kind, repeated }: FlatField, value: unknown): number | undefined {
  if (typeof kind === 'function') {
    return repeated
      ? writeTables(builder, kind(), value as readonly FlatRecord[])
      : writeTable(builder, kind(), value as FlatRecord);
  }
  if (kind === 'text') return builder.createString(value as string);
  if (kind === 'bytes') return writeBytes(builder, value as Uint8Array);
  return kind === 'longs' ? writeLongs(builder, value as readonly number[]) : undefined;
}

function writeScalar(builder: Builder, kind: FlatField['kind'], value: unknown): void {
  if (kind === 'int') builder.addInt32(value as number);
  else if (kind === 'long') builder.addInt64(BigInt(value as number));
  else if (kind === 'float') builder.addFloat32(value as number);
  else builder.addInt8(value === true ? 1 : 0);
}

function writeTable(builder: Builder, spec: FlatSpec, record: FlatRecord): number {
  const present = Object.entries(spec).filter(([name]) => record[name] !== undefined);
  const parts = present.map(([name, entry]) => ({ name, entry, offset: writePart(builder, entry, record[name]) }));
  builder.startObject(Math.max(...Object.values(spec).map(({ slot }) => slot)) + 1);
  for (const { name, entry, offset } of parts) {
    if (offset === undefined) writeScalar(builder, entry.kind, record[name]);
    else builder.addOffset(offset);
    builder.slot(entry.slot);
  }
  return builder.endObject();
}

/** The buffer of `record` with the four letters `identifier`; undefined properties are omitted. `sizeBytes` is about its size. */
export function encodeFlat<T extends object>(
  spec: FlatSpec,
  record: T,
  { identifier, sizeBytes }: { readonly identifier: string; readonly sizeBytes: number },
): Uint8Array {
  const builder = new Builder(sizeBytes);
  builder.finish(writeTable(builder, spec, record as FlatRecord), identifier);
  return builder.asUint8Array();
}

/** A buffer that is being read, every look at it checked. */
class FlatReader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #fail: (reason: string) => FettleError;
  /**
   * Parts may be shared, and a few bytes that share them cleverly would unfold to more than memory holds. Honest
   * buffers share a name here and there, so what is read in all stays below a few times their size.
   */
  #budgetBytes: number;

  constructor(bytes: Uint8Array, fail: (reason: string) => FettleError) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fail = fail;
    this.#budgetBytes = 4 * bytes.byteLength;
  }

  /** `sizeBytes` bytes from `at` on are there. */
  #need(at: number, sizeBytes: number): void {
    if (at < 0 || at + sizeBytes > this.#bytes.length) {
      throw this.#fail(`a part at byte ${at} with ${sizeBytes} bytes, of ${this.#bytes.length} in all`);
    }
  }

  #spend(sizeBytes: number): void {
    this.#budgetBytes -= sizeBytes;
    if (this.#budgetBytes < 0) throw this.#fail('parts that overlap');
  }

  #u16(at: number): number {
    this.#need(at, 2);
    return this.#view.getUint16(at, true);
  }

  #i32(at: number): number {
    this.#need(at, 4);
    return this.#view.getInt32(at, true);
  }

  #long(at: number): number {
    this.#need(at, 8);
    const value = Number(this.#view.getBigInt64(at, true));
    if (!Number.isSafeInteger(value)) throw this.#fail(`the whole number ${value}, beyond 2^53`);
    return value;
  }

  /** Where the offset at `at` leads. */
  follow(at: number): number {
    this.#need(at, 4);
    return at + this.#view.getUint32(at, true);
  }

  /** Start and number of elements of the vector that the offset at `at` leads to. */
  #vector(at: number, elementBytes: number): { readonly start: number; readonly count: number } {
    const vector = this.follow(at);
    this.#need(vector, 4);
    const count = this.#view.getUint32(vector, true);
    this.#need(vector + 4, count * elementBytes);
    this.#spend(count * elementBytes);
    return { start: vector + 4, count };
  }

  #bytesAt(at: number): Uint8Array {
    const { start, count } = this.#vector(at, 1);
    return this.#bytes.subarray(start, start + count);
  }

  #text(at: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.#bytesAt(at));
    } catch (cause) {
      throw cause instanceof FettleError ? cause : this.#fail('a text that is not UTF-8');
    }
  }

  #tables(spec: FlatSpec, at: number): FlatRecord[] {
    const { start, count } = this.#vector(at, 4);
    return Array.from({ length: count }, (_, i) => this.table(spec, this.follow(start + 4 * i)));
  }

  #longs(at: number): number[] {
    const { start, count } = this.#vector(at, 8);
    return Array.from({ length: count }, (_, i) => this.#long(start + 8 * i));
  }

  #float(at: number): number {
    this.#need(at, 4);
    return this.#view.getFloat32(at, true);
  }

  #bool(at: number): boolean {
    this.#need(at, 1);
    return this.#bytes[at] !== 0;
  }

  #value({ kind, repeated }: FlatField, at: number): unknown {
    if (typeof kind === 'function') {
      return repeated ? this.#tables(kind(), at) : this.table(kind(), this.follow(at));
    }
    const readers: Record<FlatKind, () => unknown> = {
      int: () => this.#i32(at),
      long: () => this.#long(at),
      float: () => this.#float(at),
      bool: () => this.#bool(at),
      text: () => this.#text(at),
      bytes: () => this.#bytesAt(at),
      longs: () => this.#longs(at),
    };
    return readers[kind]();
  }

  /** The table at `at`: absent numbers are 0, absent bools false, all else that is absent undefined. */
  table(spec: FlatSpec, at: number): FlatRecord {
    const vtable = at - this.#i32(at);
    const vtableBytes = this.#u16(vtable);
    this.#spend(4);
    const record: FlatRecord = {};
    for (const [name, entry] of Object.entries(spec)) {
      const place = 4 + 2 * entry.slot;
      const inside = place + 2 <= vtableBytes ? this.#u16(vtable + place) : 0;
      record[name] = inside === 0 ? absent(entry) : this.#value(entry, at + inside);
    }
    return record;
  }
}

const absent = ({ kind }: FlatField): unknown => {
  if (kind === 'bool') return false;
  return kind === 'int' || kind === 'long' || kind === 'float' ? 0 : undefined;
};

/** Reads a buffer with the four letters `identifier`; vectors of bytes are views. `fail` makes the error of malformed ones. */
export function decodeFlat<T extends object>(
  spec: FlatSpec,
  bytes: Uint8Array,
  { identifier, fail }: { readonly identifier: string; readonly fail: (reason: string) => FettleError },
): T {
  if (bytes.length < 8) throw fail(`${bytes.length} bytes`);
  const found = String.fromCharCode(...bytes.subarray(4, 8));
  if (found !== identifier) throw fail(`the identifier ${JSON.stringify(found)}`);
  const reader = new FlatReader(bytes, fail);
  return reader.table(spec, reader.follow(0)) as T;
}
