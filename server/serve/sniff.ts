import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { RequestError } from '../errors.ts';

/** Formats that are read, by what their first bytes say; names of files and declared types are not believed. */
export type InputFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

const ascii = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...bytes.subarray(start, end));

const convert = 'convert it to JPEG or PNG first';

/** What is known and not read, with what to do instead. */
const refused: readonly {
  readonly name: string;
  readonly test: (bytes: Uint8Array) => boolean;
  readonly advice: string;
}[] = [
  {
    name: 'HEIC',
    test: isHeic,
    advice: `HEIC cannot be decoded here: ${convert} (a phone's "most compatible" setting does)`,
  },
  { name: 'BMP', test: (b) => ascii(b, 0, 2) === 'BM', advice: `BMP is not read: ${convert}` },
  { name: 'SVG', test: isMarkup, advice: 'SVG and HTML are not photos: send a JPEG, PNG, WebP, GIF, TIFF or AVIF' },
  { name: 'PDF', test: (b) => ascii(b, 0, 4) === '%PDF', advice: `PDF is not read: ${convert}` },
  {
    name: 'JPEG XL',
    test: (b) => (b[0] === 0xff && b[1] === 0x0a) || ascii(b, 4, 8) === 'JXL ',
    advice: `JPEG XL is not read: ${convert}`,
  },
  { name: 'JPEG 2000', test: (b) => ascii(b, 4, 6) === 'jP', advice: `JPEG 2000 is not read: ${convert}` },
  { name: 'Photoshop', test: (b) => ascii(b, 0, 4) === '8BPS', advice: `Photoshop files are not read: ${convert}` },
];

/** sniff: the file's bytes -> its format by magic numbers; 415 with what to do for everything else. */
export function sniff(bytes: Uint8Array): InputFormat {
  if (bytes.length === 0) throw new RequestError(400, 'bad-image', 'image: expected a picture, got an empty file');
  const format = knownFormat(bytes);
  if (format !== undefined) return format;
  const known = refused.find(({ test }) => test(bytes));
  const text = known?.advice ?? 'expected JPEG, PNG, WebP, GIF, TIFF or AVIF, got bytes that are none of them';
  throw new RequestError(415, 'unsupported-image', `image: ${text}`);
}

function knownFormat(bytes: Uint8Array): InputFormat | undefined {
  const head = ascii(bytes, 0, 12);
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'webp';
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'gif';
  if (head.startsWith('II*\0') || head.startsWith('MM\0*')) return 'tiff';
  return brands(bytes).some((brand) => brand === 'avif' || brand === 'avis') ? 'avif' : undefined;
}

/** Major and compatible brands of an ISO media file's `ftyp` box (ISO/IEC 14496-12). */
function brands(bytes: Uint8Array): string[] {
  if (ascii(bytes, 4, 8) !== 'ftyp') return [];
  const end = Math.min(bytes.length, 64, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
  return Array.from({ length: Math.max(0, Math.floor((end - 8) / 4)) }, (_, i) => ascii(bytes, 8 + 4 * i, 12 + 4 * i));
}

function isHeic(bytes: Uint8Array): boolean {
  return brands(bytes).some((brand) => /^(hei[cxms]|hev[cxms]|mif1|msf1)$/.test(brand));
}

function isMarkup(bytes: Uint8Array): boolean {
  return /^\s*(<\?xml|<!doctype|<svg|<html|<!--)/i.test(ascii(bytes, 0, 256).replace(/^\xef\xbb\xbf/, ''));
}

/** Compressed text and profiles of a PNG may inflate to this many bytes together. */
const maxTextBytes = 8 * 2 ** 20;
const maxTextChunks = 1000;
const maxChunks = 2 ** 16;

/** checkPngText: throws 413 when the text and profile chunks of a PNG hold more than 8 MiB (a `zTXt` bomb). */
export async function checkPngText(bytes: Uint8Array): Promise<void> {
  let left = maxTextBytes;
  for (const { type, data } of textChunks(bytes)) {
    left -= await textSize(type, data, left);
    if (left < 0) throw tooMuch('8 MiB of text');
  }
}

const tooMuch = (limit: string): RequestError =>
  new RequestError(413, 'too-much-metadata', `image: expected at most ${limit}, got more; remove its metadata`);

interface PngChunk {
  readonly type: string;
  readonly data: Uint8Array;
}

/** The chunks of a PNG that hold text or a profile. */
function textChunks(bytes: Uint8Array): PngChunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: PngChunk[] = [];
  let chunks = 0;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = textTypes.get(view.getUint32(at + 4));
    if (type !== undefined) found.push({ type, data: bytes.subarray(at + 8, at + 8 + length) });
    if (found.length > maxTextChunks) throw tooMuch(`${maxTextChunks} pieces of text`);
    if (++chunks > maxChunks) throw tooMuch(`${maxChunks} chunks`);
    at += 12 + length;
  }
  return found;
}

/** By the four bytes of their type as a number. */
const textTypes = new Map(['tEXt', 'zTXt', 'iTXt', 'iCCP'].map((type) => [Buffer.from(type).readUInt32BE(0), type]));

const inflateAsync = promisify(inflate);

/** Bytes that a text chunk holds when inflated; above `limit` some number above it. */
async function textSize(type: string, data: Uint8Array, limit: number): Promise<number> {
  const compressed = compressedPart(type, data);
  if (compressed === undefined) return data.length;
  try {
    return (await inflateAsync(compressed, { maxOutputLength: Math.max(1, limit) })).length;
  } catch (error) {
    const tooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
    return tooLarge ? limit + 1 : data.length; // what does not inflate is for the decoder to judge
  }
}

/** After the keyword: zTXt and iCCP have a method byte; iTXt a flag, a method, a language and a translated keyword. */
function compressedPart(type: string, data: Uint8Array): Uint8Array | undefined {
  const keywordEnd = data.indexOf(0);
  if (type === 'tEXt' || keywordEnd < 0) return undefined;
  if (type !== 'iTXt') return data.subarray(keywordEnd + 2);
  if (data[keywordEnd + 1] !== 1) return undefined;
  const languageEnd = data.indexOf(0, keywordEnd + 3);
  const translatedEnd = data.indexOf(0, languageEnd + 1);
  return languageEnd < 0 || translatedEnd < 0 ? undefined : data.subarray(translatedEnd + 1);
}
