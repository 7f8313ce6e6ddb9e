import { ensure } from '../core/errors.ts';

/** Reads little-endian numbers one after the other; throws `bad-checkpoint` at the end of the bytes, never reads beyond. */
export class ByteReader {
  readonly bytes: Uint8Array;
  /** Named in errors. */
  readonly what: string;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, what: string, start = 0) {
    this.bytes = bytes;
    this.what = what;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  /** Where the next read begins. */
  get position(): number {
    return this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.skip(1));
  }

  u16(): number {
    return this.#view.getUint16(this.skip(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.skip(4), true);
  }

  /** A number that may be inexact above 2^53, which is beyond the size of any file. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.skip(8), true));
  }

  /** Big-endian, as in pickles. */
  f64be(): number {
    return this.#view.getFloat64(this.skip(8), false);
  }

  /** The next `length` bytes, not copied. */
  take(length: number): Uint8Array {
    const start = this.skip(length);
    return this.bytes.subarray(start, start + length);
  }

  /** Bytes up to the next line feed, which is skipped too. */
  line(): Uint8Array {
    const end = this.bytes.indexOf(0x0a, this.#at);
    ensure(end !== -1, 'bad-checkpoint', () => this.ended('a line'));
    return this.take(end - this.#at + 1).subarray(0, -1);
  }

  /** Skips `length` bytes and returns where they begin. */
  skip(length: number): number {
    const start = this.#at;
    const inside = start >= 0 && length <= this.bytes.length - start;
    ensure(inside, 'bad-checkpoint', () => this.ended(`${length} bytes`));
    this.#at += length;
    return start;
  }

  private ended(wanted: string): string {
    return `${this.what}: expected ${wanted} at byte ${this.#at}, got the end of ${this.bytes.length}; the file is truncated or damaged`;
  }
}
