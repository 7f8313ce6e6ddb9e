import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { formatOf, type InputFormat, unreadReason } from '../../training/pictures/formats.ts';
import { RequestError } from '../errors.ts';

/** sniff: the file's bytes -> its format by magic numbers; 415 with what to do for everything else. */
export function sniff(bytes: Uint8Array): InputFormat {
  if (bytes.length === 0) throw new RequestError('bad-image', 'image: expected a picture, got an empty file');
  const format = formatOf(bytes);
  if (format === undefined) throw new RequestError('unsupported-image', `image: ${unreadReason(bytes)}`);
  return format;
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
  new RequestError('too-much-metadata', `image: expected at most ${limit}, got more; remove its metadata`);

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
