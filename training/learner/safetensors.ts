import { ensure } from '../core/errors.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';

/*
 * The safetensors format (huggingface/safetensors, README): u64 little-endian length of a JSON header, the header, then
 * the bytes of all tensors. Only F32 is needed here.
 */

interface Entry {
  readonly dtype: string;
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
  try {
    return {
      header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, unknown>,
      start: 8 + length,
    };
  } catch {
    ensure(false, 'bad-checkpoint', () => `${what}: expected a JSON header, got something else; the file is damaged`);
  }
}

/** The bytes start..end in memory of their own (`slice` of a Node Buffer would share it). */
const copyOf = (bytes: Uint8Array, start: number, end: number): ArrayBuffer =>
  new Uint8Array(bytes.subarray(start, end)).buffer;

/** Reads a .safetensors file of f32 tensors (copied out). Throws `bad-checkpoint` on anything inconsistent. */
export function decodeSafetensors(bytes: Uint8Array, what = 'safetensors'): SafetensorsFile {
  const { header, start } = readHeader(bytes, what);
  const tensors = new Map<string, Tensor<'float32'>>();
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: offsets } = value as Entry;
    const fits =
      dtype === 'F32' &&
      offsets[1] - offsets[0] === 4 * sizeOf(shape) &&
      offsets[0] >= 0 &&
      start + offsets[1] <= bytes.length;
    ensure(
      fits,
      'bad-checkpoint',
      () =>
        `${what}: expected ${name} as F32 [${shape}] inside the file, got ${dtype} at ${offsets}; the file is damaged`,
    );
    tensors.set(name, {
      dtype: 'float32',
      dims: shape,
      data: new Float32Array(copyOf(bytes, start + offsets[0], start + offsets[1])),
    });
  }
  return { tensors, metadata: (header.__metadata__ ?? {}) as Record<string, string> };
}
