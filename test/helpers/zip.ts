import { crc32 } from '../../training/learner/weights/zip.ts';

export interface ZipOptions {
  /** Compression method that the directory claims; 0, stored, when left out. */
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

/** A little-endian record: pairs of size in bytes (2 or 4) and value. */
function record(...fields: readonly (readonly [2 | 4, number])[]): Buffer {
  return Buffer.concat(
    fields.map(([size, value]) => {
      const out = Buffer.alloc(size);
      out.writeUIntLE(value, 0, size);
      return out;
    }),
  );
}

const ones = 0xffffffff;

/** An archive of stored entries. */
export function zipOf(
  entries: readonly (readonly [string, Uint8Array])[],
  { method = 0, zip64 = false, comment = '' }: ZipOptions = {},
): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of entries) {
    const label = Buffer.from(name);
    const sizes = [content.length, content.length] as const;
    const crc = crc32(content);
    const head = [
      [2, 45],
      [2, 0],
      [2, method],
      [4, 0],
      [4, crc],
    ] as const;
    const local = record([4, 0x04034b50], ...head, [4, sizes[0]], [4, sizes[1]], [2, label.length], [2, 4]);
    const extra = zip64
      ? Buffer.concat([record([2, 0x7075], [2, 1]), Buffer.from('x'), record([2, 1], [2, 24]), u64(...sizes, at)])
      : Buffer.alloc(0);
    const shown = zip64 ? [ones, ones, ones] : [...sizes, at];
    directory.push(
      record(
        [4, 0x02014b50],
        [2, 45],
        ...head,
        [4, shown[0]!],
        [4, shown[1]!],
        [2, label.length],
        [2, extra.length],
        [2, 0],
        [2, 0],
        [2, 0],
        [4, 0],
        [4, shown[2]!],
      ),
      label,
      extra,
    );
    parts.push(local, label, Buffer.alloc(4), Buffer.from(content));
    at += local.length + label.length + 4 + content.length;
  }
  const listed = Buffer.concat(directory);
  const end64 = zip64
    ? Buffer.concat([
        record([4, 0x06064b50]),
        u64(44),
        record([2, 45], [2, 45], [4, 0], [4, 0]),
        u64(entries.length, entries.length, listed.length, at),
        record([4, 0x07064b50], [4, 0]),
        u64(at + listed.length),
        record([4, 1]),
      ])
    : Buffer.alloc(0);
  const [count, size, start] = zip64 ? [0xffff, ones, ones] : [entries.length, listed.length, at];
  const end = record(
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, count!],
    [2, count!],
    [4, size!],
    [4, start!],
    [2, comment.length],
  );
  return Buffer.concat([...parts, listed, end64, end, Buffer.from(comment)]);
}
