import { ensure, FettleError } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import type { OutputFormat } from '../api.ts';
import { isPlainPng } from './sniff.ts';

/** Bytes of RGBA handled at a time: a photo is never in memory twice as a whole. */
const stripBytes = 4 << 20;
const maxInputPixels = 40e6;
const maxOutputPixels = 100e6;

const mimeTypes: Record<OutputFormat, string> = { png: 'image/png', jpeg: 'image/jpeg', webp: 'image/webp' };

const rowsPerStrip = (width: number): number => Math.max(1, Math.floor(stripBytes / (4 * width)));

/** Calls `each(top, rows)` for strips of a picture from top to bottom. */
function forStrips(width: number, height: number, each: (top: number, rows: number) => void): void {
  const rows = rowsPerStrip(width);
  for (let top = 0; top < height; top += rows) each(top, Math.min(rows, height - top));
}

function contextOf(width: number, height: number, alpha: boolean): OffscreenCanvasRenderingContext2D {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { alpha, colorSpace: 'srgb', willReadFrequently: true });
  ensure(context !== null, 'unsupported', () => `canvas: expected ${width} x ${height} pixels to fit, got none`);
  return context;
}

/**
 * decodeImage: a picture file -> image u8, upright, sRGB; RGBA where a pixel is not opaque, else RGB.
 * Opaque 8-bit sRGB pixels come out exactly as they are in the file. A canvas keeps colours multiplied by alpha, so half
 * transparent pixels lose a little precision here, and fully transparent ones lose their (invisible) colour.
 */
export async function decodeImage(file: Blob): Promise<Image> {
  const bitmap = await openBitmap(file);
  const { width, height } = bitmap;
  try {
    ensure(width * height <= maxInputPixels, 'bad-data', () => {
      return `decodeImage: expected at most 40 megapixels, got ${width} x ${height}; use a smaller copy`;
    });
    return readPixels(bitmap);
  } finally {
    bitmap.close();
  }
}

async function openBitmap(file: Blob): Promise<ImageBitmap> {
  try {
    const colorSpaceConversion = (await isPlainPng(file)) ? 'none' : 'default';
    return await createImageBitmap(file, { imageOrientation: 'from-image', colorSpaceConversion });
  } catch (cause) {
    const text =
      'decodeImage: expected a picture that this browser can open, got something else; use JPEG, PNG or WebP';
    throw new FettleError('bad-data', text, { cause });
  }
}

/** Calls `each(top, rgba)` for strips of the bitmap; the canvas is a strip's size, for phones limit that of canvases. */
function readStrips(bitmap: ImageBitmap, each: (top: number, rgba: Uint8ClampedArray) => void): void {
  const { width, height } = bitmap;
  const context = contextOf(width, Math.min(height, rowsPerStrip(width)), true);
  context.imageSmoothingEnabled = false;
  context.globalCompositeOperation = 'copy';
  forStrips(width, height, (top, rows) => {
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    each(top, context.getImageData(0, 0, width, rows).data);
  });
}

/** RGB is packed as if no pixel were transparent; the first that is starts the work over with four channels. */
function readPixels(bitmap: ImageBitmap): Image {
  const { width, height } = bitmap;
  const rgb = new Uint8Array(width * height * 3);
  let opaque = true;
  readStrips(bitmap, (top, rgba) => {
    if (opaque) opaque = packRgb(rgba, rgb, top * width * 3);
  });
  if (opaque) return { width, height, channels: 3, data: rgb };
  const data = new Uint8Array(width * height * 4);
  readStrips(bitmap, (top, rgba) => data.set(rgba, top * width * 4));
  return { width, height, channels: 4, data };
}

/** RGBA u8 -> RGB u8 in `out` from index `to`; false as soon as a pixel is not opaque. */
function packRgb(rgba: Uint8ClampedArray, out: Uint8Array, to: number): boolean {
  for (let from = 0, at = to; from < rgba.length; from += 4, at += 3) {
    if (rgba[from + 3] !== 255) return false;
    out[at] = rgba[from]!;
    out[at + 1] = rgba[from + 1]!;
    out[at + 2] = rgba[from + 2]!;
  }
  return true;
}

/** ensureOutputFits: throws `bad-data` where the enlarged picture would pass the limit that the server has too. */
export function ensureOutputFits(image: Image, scale: number): void {
  const pixels = image.width * image.height * scale * scale;
  ensure(pixels <= maxOutputPixels, 'bad-data', () => {
    return `scale: expected at most 100 megapixels of output, got ${Math.round(pixels / 1e6)}; use a smaller scale`;
  });
}

/** encodeImage: image u8 RGB or RGBA -> file. `quality` 1..100 for jpeg and webp. JPEG has no alpha: white shows through. */
export async function encodeImage(image: Image, format: OutputFormat, quality: number): Promise<Blob> {
  const { width, height, channels } = image;
  const context = contextOf(width, height, channels === 4);
  forStrips(width, height, (top, rows) => {
    context.putImageData(stripOf(image, top, rows), 0, top);
  });
  if (channels === 4 && format === 'jpeg') fillBehind(context, width, height);
  const holds = channels === 4 || holdsPixels(context, (pixel) => image.data.subarray(3 * pixel, 3 * pixel + 3));
  ensure(holds, 'unsupported', () => {
    return `encodeImage: expected ${width} x ${height} pixels to fit this browser's canvas, got nothing; use a smaller scale`;
  });
  const type = mimeTypes[format];
  const blob = await context.canvas.convertToBlob({ type, quality: quality / 100 });
  ensure(blob.type === type, 'unsupported', () => `encodeImage: expected ${type}, got ${blob.type}; choose PNG`);
  return blob;
}

/**
 * holdsPixels: whether the canvas has what was drawn on it, opaque, `colorOf` a pixel's index the RGB there. Some browsers ignore, without an
 * error, what is drawn on a canvas that is too large for them: a few pixels show it.
 */
export function holdsPixels(
  context: OffscreenCanvasRenderingContext2D,
  colorOf: (pixel: number) => ArrayLike<number>,
): boolean {
  const { width, height } = context.canvas;
  return [0, 0.5, 1].every((share) => {
    const [x, y] = [Math.floor(share * (width - 1)), Math.floor(share * (height - 1))];
    const wanted = colorOf(y * width + x);
    const found = context.getImageData(x, y, 1, 1).data.subarray(0, 3);
    return found.every((value, c) => value === wanted[c]);
  });
}

function fillBehind(context: OffscreenCanvasRenderingContext2D, width: number, height: number): void {
  context.globalCompositeOperation = 'destination-over';
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
}

function stripOf({ width, channels, data }: Image, top: number, rows: number): ImageData {
  const strip = new ImageData(width, rows);
  const to = strip.data;
  const start = top * width * channels;
  if (channels === 4) to.set(data.subarray(start, start + to.length));
  else {
    for (let i = 0, from = start; i < to.length; i += 4, from += 3) {
      to[i] = data[from]!;
      to[i + 1] = data[from + 1]!;
      to[i + 2] = data[from + 2]!;
      to[i + 3] = 255;
    }
  }
  return strip;
}
