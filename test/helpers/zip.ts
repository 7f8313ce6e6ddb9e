import { crc32 } from '../../training/core/crc32.ts';

export interface ZipOptions {
  /** Compression method that the directory claims; 0, stored, by default. */
  readonly method?: number;
  /** Sizes, offsets and counts in the 64-bit fields only, as PyTorch writes large files. */
  readonly zip64?: boolean;
  readonly comment?: string;
}

const u64 = (...values: readonly number[]): Buffer => {
  const out = Buffer.alloc(8 * values.length);
  values.forEach((value, i) => {
    out.writeBigUInt64LE(BigInt(value), 8 * i);
  });
  return out;
};

/** Size in bytes, value. */
type Field = readonly [2 | 4, number];
type Fields = readonly Field[];

/** A little-endian record. */
function record(...fields: Fields): Buffer {
  return Buffer.concat(
    fields.map(([size, value]) => {
      const out = Buffer.alloc(size);
      out.writeUIntLE(value, 0, size);
      return out;
    }),
  );
}

const ones = 0xffffffff;

/** What local header and directory record have in common: version, flags, method, time, checksum. */
const head = (method: number, content: Uint8Array): Fields => [
  [2, 45],
  [2, 0],
  [2, method],
  [4, 0],
  [4, crc32(content)],
];

/** Header, name, four bytes of padding, content. */
function localEntry(name: string, content: Uint8Array, method: number): Buffer {
  const sizes: Fields = [
    [4, content.length],
    [4, content.length],
    [2, Buffer.byteLength(name)],
    [2, 4],
  ];
  const header = record([4, 0x04034b50], ...head(method, content), ...sizes);
  return Buffer.concat([header, Buffer.from(name), Buffer.alloc(4), content]);
}

/** The record of an entry at `at`; with 64-bit fields, behind an extension of another kind. */
function directoryEntry(
  name: string,
  content: Uint8Array,
  at: number,
  { method = 0, zip64 = false }: ZipOptions,
): Buffer {
  const values = [content.length, content.length, at];
  const extension = Buffer.concat([
    record([2, 0x7075], [2, 1]),
    Buffer.from('x'),
    record([2, 1], [2, 24]),
    u64(...values),
  ]);
  const extra = zip64 ? extension : Buffer.alloc(0);
  const [packed, size, offset] = zip64 ? [ones, ones, ones] : (values as [number, number, number]);
  const lengths: Fields = [
    [2, Buffer.byteLength(name)],
    [2, extra.length],
    [2, 0],
    [4, 0],
    [4, 0],
  ];
  const header = record([4, 0x02014b50], [2, 45], ...head(method, content), [4, packed], [4, size], ...lengths, [
    4,
    offset,
  ]);
  return Buffer.concat([header, Buffer.from(name), extra]);
}

/** The 64-bit end record of a directory that lies at `start`, and its locator. */
const largeEnd = (count: number, size: number, start: number): Buffer =>
  Buffer.concat([
    record([4, 0x06064b50]),
    u64(44),
    record([2, 45], [2, 45], [4, 0], [4, 0]),
    u64(count, count, size, start),
    record([4, 0x07064b50], [4, 0]),
    u64(start + size),
    record([4, 1]),
  ]);

/** An archive of stored entries. */
export function zipOf(entries: readonly (readonly [string, Uint8Array])[], options: ZipOptions = {}): Buffer {
  const { method = 0, zip64 = false, comment = '' } = options;
  const locals: Buffer[] = [];
  const records: Buffer[] = [];
  let at = 0;
  for (const [name, content] of entries) {
    const local = localEntry(name, content, method);
    records.push(directoryEntry(name, content, at, options));
    locals.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(records);
  const [count, size, start] = zip64
    ? ([0xffff, ones, ones] as const)
    : ([entries.length, directory.length, at] as const);
  const end = record([4, 0x06054b50], [4, 0], [2, count], [2, count], [4, size], [4, start], [2, comment.length]);
  const large = zip64 ? [largeEnd(entries.length, directory.length, at)] : [];
  return Buffer.concat([...locals, directory, ...large, end, Buffer.from(comment)]);
}
