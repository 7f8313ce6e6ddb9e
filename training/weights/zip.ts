import { crc32 } from '../core/crc32.ts';
import { ensure, FettleError } from '../core/errors.ts';
import { ByteReader } from './bytes.ts';

/*
 * ZIP archives as PyTorch writes them (PKWARE's APPNOTE 6.3.10): entries stored as they are, with the 64-bit extension. Nothing is
 * unpacked, so an archive never grows in memory: entries are windows into its bytes.
 */

export interface ZipArchive {
  readonly names: readonly string[];
  /** The bytes of an entry, not copied, their checksum verified; undefined when there is none of that name. */
  read(name: string): Uint8Array | undefined;
}

interface Entry {
  /** Neither compressed nor encrypted. */
  readonly stored: boolean;
  readonly crc: number;
  readonly size: number;
  /** Where the local header begins. */
  readonly offset: number;
}

const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator: 0x07064b50 };
const endSize = 22;
const locatorSize = 20;
/** A comment, at most 65535 bytes, may follow the end record. */
const farthestEnd = endSize + 0xffff;
const ones32 = 0xffffffff;

/** A reader behind the signature at `at`, which must be there. */
function recordAt(bytes: Uint8Array, what: string, at: number, signature: number): ByteReader {
  const reader = new ByteReader(bytes, what, at);
  ensure(reader.u32() === signature, 'bad-checkpoint', () => {
    return `${what}: expected a ZIP record at byte ${at}, got something else; the file is damaged`;
  });
  return reader;
}

function findEnd(bytes: Uint8Array, what: string): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = bytes.length - endSize; at >= Math.max(0, bytes.length - farthestEnd); at--) {
    const fits = view.getUint32(at, true) === signatures.end;
    if (fits && at + endSize + view.getUint16(at + 20, true) === bytes.length) return at;
  }
  throw new FettleError(
    'bad-checkpoint',
    `${what}: expected the directory of a ZIP archive at its end, got none; the file is truncated`,
  );
}

interface Directory {
  readonly start: number;
  readonly size: number;
  readonly count: number;
}

/** Where the directory lies, by the end record or its 64-bit form. */
function findDirectory(bytes: Uint8Array, what: string): Directory {
  const end = findEnd(bytes, what);
  const reader = recordAt(bytes, what, end, signatures.end);
  const [disk, firstDisk] = [reader.u16(), reader.u16()];
  reader.skip(2);
  const [count, size, start] = [reader.u16(), reader.u32(), reader.u32()];
  if (count !== 0xffff && size !== ones32 && start !== ones32) {
    ensure(
      disk === 0 && firstDisk === 0,
      'unsupported',
      () => `${what}: expected a ZIP archive in one file, got a part`,
    );
    return { start, size, count };
  }
  const locator = recordAt(bytes, what, Math.max(0, end - locatorSize), signatures.locator);
  locator.skip(4);
  const large = recordAt(bytes, what, locator.u64(), signatures.end64);
  large.skip(8 + 2 + 2 + 4 + 4 + 8);
  return { count: large.u64(), size: large.u64(), start: large.u64() };
}

/** The 64-bit values that the extension 0x0001 gives for those fields that are all ones, in their order. */
function widened(extra: Uint8Array, what: string, fields: readonly number[]): number[] {
  const reader = new ByteReader(extra, what);
  while (fields.includes(ones32) && extra.length - reader.position >= 4) {
    const [id, size] = [reader.u16(), reader.u16()];
    if (id !== 1) reader.skip(size);
    else return fields.map((field) => (field === ones32 ? reader.u64() : field));
  }
  return [...fields];
}

const utf8 = new TextDecoder();

/** One record of the directory. */
function readEntry(reader: ByteReader): { readonly name: string; readonly entry: Entry } {
  const { what } = reader;
  ensure(reader.u32() === signatures.central, 'bad-checkpoint', () => {
    return `${what}: expected an entry of the ZIP directory before byte ${reader.position}, got something else; the file is damaged`;
  });
  reader.skip(4);
  const [flags, method] = [reader.u16(), reader.u16()];
  reader.skip(4);
  const [crc, packed32, size32] = [reader.u32(), reader.u32(), reader.u32()];
  const [nameSize, extraSize, commentSize] = [reader.u16(), reader.u16(), reader.u16()];
  reader.skip(8);
  const offset32 = reader.u32();
  const name = utf8.decode(reader.take(nameSize));
  const extra = reader.take(extraSize);
  reader.skip(commentSize);
  const [size, packed, offset] = widened(extra, what, [size32, packed32, offset32]) as [number, number, number];
  const stored = method === 0 && (flags & 1) === 0 && size === packed;
  return { name, entry: { stored, crc, size, offset } };
}

function readDirectory(bytes: Uint8Array, what: string): Map<string, Entry> {
  const { start, size, count } = findDirectory(bytes, what);
  const reader = new ByteReader(new ByteReader(bytes, what, start).take(size), what);
  const entries = new Map<string, Entry>();
  for (let i = 0; i < count; i++) {
    const { name, entry } = readEntry(reader);
    ensure(!entries.has(name), 'bad-checkpoint', () => `${what}: expected every name once, got ${name} twice`);
    entries.set(name, entry);
  }
  const total = [...entries.values()].reduce((sum, entry) => sum + entry.size, 0);
  // Else a small file could have its bytes read any number of times.
  ensure(total <= bytes.length, 'bad-checkpoint', () => {
    return `${what}: expected entries one after the other, got ${total} bytes in a file of ${bytes.length}; the file is damaged`;
  });
  return entries;
}

/** Opens an archive. Throws `bad-checkpoint` where it is damaged, and `unsupported` when a compressed entry is read. */
export function openZip(bytes: Uint8Array, what: string): ZipArchive {
  const entries = readDirectory(bytes, what);
  return {
    names: [...entries.keys()],
    read: (name) => {
      const entry = entries.get(name);
      if (entry === undefined) return undefined;
      ensure(entry.stored, 'unsupported', () => {
        return `${what}: expected entries stored as they are, got ${name} compressed or encrypted; save it again with torch.save`;
      });
      const reader = recordAt(bytes, what, entry.offset, signatures.local);
      reader.skip(22);
      const [nameSize, extraSize] = [reader.u16(), reader.u16()];
      reader.skip(nameSize + extraSize);
      const content = reader.take(entry.size);
      ensure(crc32(content) === entry.crc, 'bad-checkpoint', () => {
        return `${what}: expected the content of ${name} that was written, got another; the file is damaged`;
      });
      return content;
    },
  };
}
