import { readFile } from 'node:fs/promises';
import type { Image } from '../core/image.ts';
import { imageOf, type Sharp, sharp } from './sharp.node.ts';
import { type Size, shortSideOf } from './sizes.ts';

/*
 * The one way from a picture's file to its pixels: what is decided about profiles, bit depth, warnings, pages and orientation is decided
 * here, for training, server, command line and masks.
 */

/** A file's path or its bytes. */
export type PictureSource = string | Uint8Array;

/** What a file may be; those of training may be anything that can be read. */
export interface DecodeLimits {
  /** Whether a file that the decoder warns of is refused too, and not only one that cannot be read to its end. */
  readonly strict?: boolean;
  /** Largest width x height as stored; 268 million by default. */
  readonly pixels?: number;
  /** Longest time for decoding; no limit by default. */
  readonly seconds?: number;
}

/** What a picture's header states. */
export interface PictureHeader extends Size {
  /** In the decoder's words: `heif` with the compression `av1` is AVIF. */
  readonly format: string | undefined;
  readonly compression: string | undefined;
  readonly frames: number;
  readonly channels: number;
  /** Of a channel's numbers: `uchar`, `ushort`, `float` ... */
  readonly depth: string;
  readonly hasProfile: boolean;
  readonly exif: Uint8Array | undefined;
}

interface OpenOptions extends DecodeLimits {
  /** Whether the numbers are taken as they are: a profile does not change them, nor does the orientation turn them. */
  readonly numbers?: boolean;
}

const bytesOf = async (source: PictureSource): Promise<Uint8Array> =>
  typeof source === 'string' ? readFile(source) : source;

/** The first picture of a file, upright unless its numbers are wanted. */
function open(bytes: Uint8Array, { strict = false, pixels, seconds, numbers = false }: OpenOptions): Sharp {
  const decoder = sharp(bytes, {
    failOn: strict ? 'warning' : 'error',
    ...(pixels === undefined ? {} : { limitInputPixels: pixels }),
    page: 0,
    pages: 1,
    ignoreIcc: numbers,
  });
  if (seconds !== undefined) decoder.timeout({ seconds });
  return numbers ? decoder : decoder.autoOrient();
}

/** readHeader: a file -> what its header states, width and height upright. Decodes no pixels; throws if unreadable. */
export async function readHeader(source: PictureSource, limits: DecodeLimits = {}): Promise<PictureHeader> {
  const header = await open(await bytesOf(source), limits).metadata();
  const { format, compression, pages = 1, channels, depth, icc, exif } = header;
  return {
    ...header.autoOrient,
    format,
    compression,
    frames: pages,
    channels,
    depth,
    hasProfile: icc !== undefined,
    exif,
  };
}

/** decodePicture: a file -> upright sRGB u8 0..255, 3 channels, or 4 with straight alpha. Throws if unreadable. */
export const decodePicture = async (source: PictureSource, limits: DecodeLimits = {}): Promise<Image> =>
  imageOf(open(await bytesOf(source), limits).toColourspace('srgb'));

/** Files below this are decoded whole: looking for their size first would cost more than it could save. */
const smallFileBytes = 256 * 1024;

/**
 * decodeRgb: a file -> RGB u8 0..255, upright, sRGB, transparency over white. A large picture, at least four times
 * `shortSideWanted`, comes at twice that, which is much faster for JPEG and WebP. Throws if unreadable.
 */
export async function decodeRgb(source: PictureSource, shortSideWanted?: number): Promise<Image> {
  const bytes = await bytesOf(source);
  const decoder = open(bytes, {});
  if (shortSideWanted !== undefined && bytes.length > smallFileBytes) {
    const shortSide = 2 * shortSideWanted;
    if (shortSideOf(await decoder.metadata()) >= 2 * shortSide)
      decoder.resize(shortSide, shortSide, { fit: 'outside', kernel: 'linear' });
  }
  return imageOf(decoder.flatten({ background: '#ffffff' }).toColourspace('srgb'));
}

/**
 * decodeNumbers: a file whose pixels are no colours to be seen but stand for something, as a mask's -> its numbers u8 as stored, grey or RGB:
 * no profile is applied and nothing is turned. What is transparent is black, or keeps its colour. Throws if unreadable.
 */
export async function decodeNumbers(
  source: PictureSource,
  kind: 'grey' | 'rgb',
  transparent: 'black' | 'kept' = 'kept',
): Promise<Image> {
  const decoder = open(await bytesOf(source), { numbers: true });
  const opaque = transparent === 'black' ? decoder.flatten({ background: '#000000' }) : decoder.removeAlpha();
  return imageOf(opaque.toColourspace(kind === 'grey' ? 'b-w' : 'srgb'));
}
