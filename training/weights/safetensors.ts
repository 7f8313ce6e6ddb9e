import { ensure } from '../core/errors.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { byteSizeOf, isCount, type StoredType, storedTensor, storedTypeNames } from './stored.ts';

/*
 * The safetensors format (huggingface/safetensors, README): u64 little-endian length of a JSON header, the header, then
 * the bytes of all tensors. What fettle writes is F32.
 */

interface Entry {
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, Tensor<'float32'>>;
  /** Free key-value pairs, `__metadata__` in the file. */
  readonly metadata: Readonly<Record<string, string>>;
}

const headerLimitBytes = 100_000_000;

/** f32 tensors and metadata as the bytes of a .safetensors file; header padded to 8 bytes. */
export function encodeSafetensors({ tensors, metadata }: SafetensorsFile): Uint8Array {
  let end = 0;
  const entries = [...tensors].map(([name, { dims, data }]) => {
    const start = end;
    end += data.byteLength;
    return [name, { dtype: 'F32', shape: dims, data_offsets: [start, end] }] as const;
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const text = new TextEncoder().encode(json);
  const headerSize = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerSize + end).fill(0x20, 8, 8 + headerSize);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerSize), true);
  bytes.set(text, 8);
  let at = 8 + headerSize;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

function readHeader(
  bytes: Uint8Array,
  what: string,
): { readonly header: Record<string, unknown>; readonly start: number } {
  ensure(bytes.length >= 8, 'bad-checkpoint', () => `${what}: expected a safetensors file, got ${bytes.length} bytes`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  ensure(
    length <= headerLimitBytes && 8 + length <= bytes.length,
    'bad-checkpoint',
    () =>
      `${what}: expected a header within ${bytes.length} bytes, got length ${length}; the file is truncated or not safetensors`,
  );
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch {
    header = undefined;
  }
  ensure(
    typeof header === 'object' && header !== null && !Array.isArray(header),
    'bad-checkpoint',
    () => `${what}: expected a JSON header, got something else; the file is damaged`,
  );
  return { header: header as Record<string, unknown>, start: 8 + length };
}

/** Whether a header's value is a tensor of `types` with exactly the bytes that its shape needs. */
function isEntry(value: unknown, types: Types): value is Entry {
  if (typeof value !== 'object' || value === null) return false;
  const { dtype, shape, data_offsets: offsets } = value as Partial<Entry>;
  const byteSize = types.sizeOf(dtype ?? '');
  if (byteSize === undefined || !Array.isArray(shape) || !Array.isArray(offsets)) return false;
  if (offsets.length !== 2 || ![...shape, ...offsets].every(isCount)) return false;
  return offsets[1]! - offsets[0]! === byteSize * sizeOf(shape);
}

/** The start of a value's JSON; nesting may be too deep to print. */
function brief(value: unknown): string {
  try {
    return JSON.stringify(value).slice(0, 200);
  } catch {
    return 'something nested deeply';
  }
}

function readMetadata(value: unknown, what: string): Record<string, string> {
  if (value === undefined) return {};
  const isText =
    typeof value === 'object' && value !== null && Object.values(value).every((v) => typeof v === 'string');
  ensure(
    isText,
    'bad-checkpoint',
    () => `${what}: expected metadata of texts, got something else; the file is damaged`,
  );
  return value as Record<string, string>;
}

/** Element types that a reader takes: bytes of each, and how its error calls them. */
interface Types {
  readonly sizeOf: (dtype: string) => number | undefined;
  readonly text: string;
}
const anyType: Types = { sizeOf: byteSizeOf, text: `a tensor of ${storedTypeNames}` };
const onlyF32: Types = { sizeOf: (dtype) => (dtype === 'F32' ? 4 : undefined), text: 'an F32 tensor' };

/** Every entry with its bytes (not copied), and the metadata; throws `bad-checkpoint` on anything inconsistent. */
function readEntries(bytes: Uint8Array, what: string, types: Types) {
  const { header, start } = readHeader(bytes, what);
  const { __metadata__: metadata, ...others } = header;
  const entries = Object.entries(others).map(([name, value]) => {
    ensure(isEntry(value, types) && start + value.data_offsets[1] <= bytes.length, 'bad-checkpoint', () => {
      return `${what}: expected ${name} as ${types.text} inside the file, got ${brief(value)}; the file is damaged`;
    });
    const [from, to] = value.data_offsets;
    return { name, type: value.dtype, dims: value.shape, from, to, bytes: bytes.subarray(start + from, start + to) };
  });
  const end = [...entries]
    .sort((a, b) => a.from - b.from || a.to - b.to)
    .reduce((at, { from, to }) => (from === at ? to : Number.NaN), 0);
  ensure(start + end === bytes.length, 'bad-checkpoint', () => {
    return `${what}: expected tensors one after the other up to byte ${bytes.length}, got gaps or overlaps; the file is damaged`;
  });
  return { entries, metadata: readMetadata(metadata, what) };
}

/** Reads a .safetensors file of f32 tensors (copied out). Throws `bad-checkpoint` on anything inconsistent. */
export function decodeSafetensors(bytes: Uint8Array, what = 'safetensors'): SafetensorsFile {
  const { entries, metadata } = readEntries(bytes, what, onlyF32);
  // Into memory of its own: `slice` of a Node Buffer would share it.
  const copies = entries.map(({ name, dims, bytes: own }) => {
    return [name, { dtype: 'float32', dims, data: new Float32Array(new Uint8Array(own).buffer) }] as const;
  });
  return { tensors: new Map<string, Tensor<'float32'>>(copies), metadata };
}

/** Tensors of any type in a .safetensors file; they may share its memory. Throws `bad-checkpoint` on anything inconsistent. */
export function readSafetensors(bytes: Uint8Array, what: string): Map<string, Tensor> {
  const { entries } = readEntries(bytes, what, anyType);
  return new Map(entries.map((entry) => [entry.name, storedTensor(entry.type, entry.dims, entry.bytes, what)]));
}
