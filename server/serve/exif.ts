import { pngChunk } from '../../training/pictures/png.ts';

// EXIF (CIPA DC-008) is a TIFF structure: a header, then folders (IFDs) of 12-byte entries. It is changed in place, so that
// offsets inside maker notes stay right; what is dropped is overwritten with zeros.

const tags = { orientation: 0x112, exifFolder: 0x8769, gpsFolder: 0x8825, pixelWidth: 0xa002, pixelHeight: 0xa003 };

/** Bytes per value of the TIFF types 1..12. */
const typeSizes = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

interface Entry {
  /** Where the 12 bytes start. */
  readonly at: number;
  readonly tag: number;
  readonly type: number;
  readonly count: number;
}

/** One EXIF block under edit; a read or write past its end throws a RangeError. */
class Tiff {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = bytes[0] === 0x49;
    const mark = this.#little ? 0x4949 : 0x4d4d;
    if (this.#view.getUint16(0) !== mark || this.u16(2) !== 42) throw new RangeError('no TIFF header');
  }

  u16 = (at: number): number => this.#view.getUint16(at, this.#little);
  u32 = (at: number): number => this.#view.getUint32(at, this.#little);
  setU16 = (at: number, value: number): void => this.#view.setUint16(at, value, this.#little);
  setU32 = (at: number, value: number): void => this.#view.setUint32(at, value, this.#little);

  entries(folder: number): Entry[] {
    return Array.from({ length: this.u16(folder) }, (_, i) => {
      const at = folder + 2 + 12 * i;
      return { at, tag: this.u16(at), type: this.u16(at + 2), count: this.u32(at + 4) };
    });
  }

  /** Where the offset of the folder after this one stands. */
  nextAt = (folder: number): number => folder + 2 + 12 * this.u16(folder);

  /** Overwrites a folder, and the values that lie outside of it, with zeros. */
  erase(folder: number): void {
    for (const { at, type, count } of this.entries(folder)) {
      const size = (typeSizes[type] ?? 0) * count;
      if (size > 4) this.bytes.fill(0, this.u32(at + 8), this.u32(at + 8) + size);
    }
    this.bytes.fill(0, folder, Math.min(this.bytes.length, this.nextAt(folder) + 4));
  }

  /** Takes entries out of a folder; the rest, and the offset of the next folder, move up. */
  removeEntries(folder: number, tag: number): void {
    const kept = this.entries(folder).filter((entry) => entry.tag !== tag);
    const rows = kept.map(({ at }) => this.bytes.slice(at, at + 12));
    const next = this.u32(this.nextAt(folder));
    this.bytes.fill(0, folder + 2, this.nextAt(folder) + 4);
    this.setU16(folder, rows.length);
    for (const [i, row] of rows.entries()) this.bytes.set(row, folder + 2 + 12 * i);
    this.setU32(this.nextAt(folder), next);
  }

  setNumber({ at, type, count }: Entry, value: number): void {
    if (count !== 1 || (type !== 3 && type !== 4)) return;
    this.bytes.fill(0, at + 8, at + 12);
    if (type === 3) this.setU16(at + 8, Math.min(65_535, value));
    else this.setU32(at + 8, value);
  }
}

export interface ExifChange {
  readonly keepGps: boolean;
  /** Size of the picture that the block will belong to. */
  readonly width: number;
  readonly height: number;
}

/**
 * cleanExif: a TIFF block (with or without 'Exif\0\0' in front) -> a changed copy of the block alone, or undefined when it is damaged.
 * Orientation becomes 1, the pixel sizes the new ones; the thumbnail, which shows the old picture, goes, and so does
 * the position unless `keepGps`.
 */
export function cleanExif(block: Uint8Array, change: ExifChange): Uint8Array | undefined {
  const hasPrefix = String.fromCharCode(...block.subarray(0, 6)) === 'Exif\0\0';
  try {
    const tiff = new Tiff(block.slice(hasPrefix ? 6 : 0));
    rewrite(tiff, change);
    return tiff.bytes;
  } catch (error) {
    if (error instanceof RangeError) return undefined; // an offset past the end
    throw error;
  }
}

function rewrite(tiff: Tiff, { keepGps, width, height }: ExifChange): void {
  const main = tiff.u32(4);
  for (const entry of tiff.entries(main)) {
    if (entry.tag === tags.orientation) tiff.setNumber(entry, 1);
    if (entry.tag === tags.gpsFolder && !keepGps) tiff.erase(tiff.u32(entry.at + 8));
    if (entry.tag !== tags.exifFolder) continue;
    for (const inner of tiff.entries(tiff.u32(entry.at + 8))) {
      if (inner.tag === tags.pixelWidth) tiff.setNumber(inner, width);
      if (inner.tag === tags.pixelHeight) tiff.setNumber(inner, height);
    }
  }
  if (!keepGps) tiff.removeEntries(main, tags.gpsFolder);
  dropThumbnail(tiff, main);
}

/** The second folder describes the thumbnail: tags 0x201 and 0x202 are the start and length of a small JPEG. */
function dropThumbnail(tiff: Tiff, main: number): void {
  const folder = tiff.u32(tiff.nextAt(main));
  if (folder === 0) return;
  const value = (tag: number): number => {
    const entry = tiff.entries(folder).find((one) => one.tag === tag);
    return entry === undefined ? 0 : tiff.u32(entry.at + 8);
  };
  const [start, length] = [value(0x201), value(0x202)];
  tiff.bytes.fill(0, start, start + length);
  tiff.erase(folder);
  tiff.setU32(tiff.nextAt(main), 0);
}

/** insertExif: an encoded picture and a TIFF block -> the same picture with the block in it, or as it was where it cannot be held. */
export function insertExif(format: 'jpeg' | 'png' | 'webp', picture: Uint8Array, block: Uint8Array): Uint8Array {
  if (format === 'jpeg') return insertJpeg(picture, block);
  return format === 'png' ? insertPng(picture, block) : insertWebp(picture, block);
}

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** APP1 right after the start marker; it holds at most 65 533 bytes. */
function insertJpeg(picture: Uint8Array, block: Uint8Array): Uint8Array {
  const length = 2 + 6 + block.length;
  if (length > 65_535) return picture;
  const header = Uint8Array.of(0xff, 0xe1, length >> 8, length & 255);
  return joined(picture.subarray(0, 2), header, latin1('Exif\0\0'), block, picture.subarray(2));
}

const u32le = (value: number): Uint8Array =>
  Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);

/** An eXIf chunk right after IHDR (8 bytes of signature and 25 of IHDR). */
function insertPng(picture: Uint8Array, block: Uint8Array): Uint8Array {
  return joined(picture.subarray(0, 33), pngChunk('eXIf', block), picture.subarray(33));
}

/** An EXIF chunk at the end of an extended WebP; a simple lossy one (a single VP8 chunk) becomes extended first. */
function insertWebp(picture: Uint8Array, block: Uint8Array): Uint8Array {
  const kind = String.fromCharCode(...picture.subarray(12, 16));
  if (kind !== 'VP8X' && kind !== 'VP8 ') return picture;
  const extended = kind === 'VP8X' ? picture : extendWebp(picture);
  const padding = new Uint8Array(block.length & 1);
  const whole = joined(extended, latin1('EXIF'), u32le(block.length), block, padding);
  whole.set(u32le(whole.length - 8), 4);
  whole[20] = whole[20]! | 0x08; // the flag that states that EXIF is there
  return whole;
}

/** VP8X holds flags and the size less one in 24 bits each; the VP8 frame header has the size in 14 bits each. */
function extendWebp(picture: Uint8Array): Uint8Array {
  const side = (at: number): Uint8Array => u32le((((picture[at + 1]! & 0x3f) << 8) | picture[at]!) - 1).subarray(0, 3);
  const header = joined(latin1('VP8X'), u32le(10), new Uint8Array(4), side(26), side(28));
  return joined(picture.subarray(0, 12), header, picture.subarray(12));
}
