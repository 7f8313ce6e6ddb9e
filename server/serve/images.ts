import type { OutputFormat, OutputQuery } from '../../tasks/pictures.ts';
import { messageOf } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import {
  type DecodeLimits,
  decodePicture,
  type PictureHeader,
  readHeader,
} from '../../training/pictures/decode.node.ts';
import { type InputFormat, writtenFormat } from '../../training/pictures/formats.ts';
import { type Sharp, sharp } from '../../training/pictures/sharp.node.ts';
import { RequestError } from '../errors.ts';
import { cleanExif, insertExif } from './exif.ts';
import { checkPngText, sniff } from './sniff.ts';

export const limits = {
  uploadBytes: 40e6,
  inputPixels: 40_000_000,
  outputPixels: 100_000_000,
  /** Largest side; JPEG has no larger one. */
  side: 65_500,
  frames: 1000,
  decodeSeconds: 60,
};

/** What a picture's headers say. */
export interface PictureInfo {
  readonly format: InputFormat;
  /** Upright. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly hasProfile: boolean;
  readonly exif: Uint8Array | undefined;
}

const tooLarge = (text: string): RequestError => new RequestError('image-too-large', `image: expected ${text}`);

const decodeLimits: DecodeLimits = { strict: true, pixels: limits.inputPixels, seconds: limits.decodeSeconds };

/** inspect: a file's bytes -> what its headers state; throws a 4xx, which names the input, for what will not be decoded. Decodes no pixels. */
export const inspect = (bytes: Uint8Array, input = 'image'): Promise<PictureInfo> =>
  inspectImage(bytes).catch((error: unknown) => {
    if (input === 'image' || !(error instanceof RequestError)) throw error;
    throw new RequestError(error.code, error.message.replace(/^image:/, `${input}:`));
  });

async function inspectImage(bytes: Uint8Array): Promise<PictureInfo> {
  const format = sniff(bytes);
  if (format === 'png') await checkPngText(bytes);
  if (format === 'gif') checkGifScreen(bytes);
  const header = await readHeader(bytes, decodeLimits).catch(refuse);
  const { width, height, frames, hasProfile, exif } = header;
  if (width * height > limits.inputPixels) throw tooLarge(`at most 40 megapixels, got ${width} x ${height}`);
  if (Math.max(width, height) > limits.side)
    throw tooLarge(`sides of at most ${limits.side} pixels, got ${width} x ${height}`);
  if (frames > limits.frames) throw tooLarge(`at most ${limits.frames} frames, got ${frames}`);
  if (!sameFormat(format, header)) throw badImage(`bytes marked as ${format} decode as ${header.format}`);
  return { format, width, height, frames, hasProfile, exif };
}

const sameFormat = (format: InputFormat, header: PictureHeader): boolean =>
  format === 'avif' ? header.format === 'heif' && header.compression === 'av1' : header.format === format;

/** A GIF's screen can be far larger than its frames; decoders that honour it allocate it. */
function checkGifScreen(bytes: Uint8Array): void {
  if (bytes.length < 10) throw badImage('the file ends within its header');
  const [width, height] = [bytes[6]! | (bytes[7]! << 8), bytes[8]! | (bytes[9]! << 8)];
  if (width * height > limits.inputPixels)
    throw tooLarge(`at most 40 megapixels, got a screen of ${width} x ${height}`);
}

const badImage = (reason: string): RequestError =>
  new RequestError('bad-image', `image: expected a whole picture, got one that cannot be decoded: ${reason}`);

/** libvips' words for what is wrong, as an answer to whoever sent the picture. */
function refuse(error: unknown): never {
  const text = messageOf(error).split('\n', 1)[0] ?? '';
  if (/pixel limit/.test(text)) throw tooLarge('at most 40 megapixels, got more');
  throw badImage(text.replace(/^Input (buffer|file) /, 'it '));
}

/** checkOutput: throws 413 or 400 when the restored picture cannot be made in that size or format. */
export function checkOutput(info: PictureInfo, query: OutputQuery & { readonly scale: number }): void {
  const [width, height] = [info.width * query.scale, info.height * query.scale];
  if (width * height > limits.outputPixels) {
    throw new RequestError(
      'output-too-large',
      `scale: expected at most 100 megapixels of output, got ${width} x ${height}; use a smaller scale`,
    );
  }
  const format = outputFormat(info, query);
  const longest = Math.max(width, height);
  if (longest > longestSide[format]) {
    throw new RequestError(
      'output-too-large',
      `format: expected sides of at most ${longestSide[format]} pixels for ${format}, got ${longest}; use format=png`,
    );
  }
}

const longestSide: Readonly<Record<OutputFormat, number>> = { png: 2 ** 20, jpeg: 65_500, webp: 16_383 };

/** The format asked for, else the input's where it is one we write, else png. */
export const outputFormat = (info: Pick<PictureInfo, 'format'>, query: OutputQuery): OutputFormat =>
  query.format ?? writtenFormat(info.format);

/** decode: a file's bytes -> upright sRGB u8, 3 channels or 4 with straight alpha; 16 bits are rounded, the first frame taken. */
export async function decode(bytes: Uint8Array): Promise<Image> {
  const image = await decodePicture(bytes, decodeLimits).catch(refuse);
  if (![1, 3, 4].includes(image.channels)) throw badImage(`it has ${image.channels} channels`);
  return image;
}

/** encode: restored pixels (sRGB u8) -> a file in the format and with the metadata that the query asks for. */
export async function encode(image: Image, info: PictureInfo, query: OutputQuery): Promise<Uint8Array> {
  const { width, height, channels, data } = image;
  const format = outputFormat(info, query);
  const pixels = sharp(data, { raw: { width, height, channels }, limitInputPixels: limits.outputPixels });
  // The pixels are sRGB, so that is the profile that describes them, whatever the input's was.
  if (info.hasProfile) pixels.withIccProfile('srgb');
  const file = await withFormat(pixels, format, query.quality, width * height).toBuffer();
  if (info.exif === undefined || query.metadata === 'strip') return file;
  const block = cleanExif(info.exif, { keepGps: query.metadata === 'all', width, height });
  return block === undefined ? file : insertExif(format, file, block);
}

/** Optimal Huffman tables save some 4 % of a JPEG, but need all its coefficients in memory: 12 bytes per pixel. */
const optimisedPixels = 4_000_000;

function withFormat(pixels: Sharp, format: OutputFormat, quality: number, count: number): Sharp {
  if (format === 'png') return pixels.png({ compressionLevel: 6 });
  if (format === 'webp') return pixels.webp({ quality });
  const chromaSubsampling = quality >= 90 ? '4:4:4' : '4:2:0';
  const optimiseCoding = count <= optimisedPixels;
  return pixels.flatten({ background: '#ffffff' }).jpeg({ quality, chromaSubsampling, optimiseCoding });
}
