import type { Image } from '../core/image.ts';
import { decodeNumbers } from './decode.node.ts';
import { imageOf, type Sharp, sharp } from './sharp.node.ts';
import type { Size } from './sizes.ts';
import { enlarge } from './transforms/enlarge.ts';
import type { Rect } from './transforms/pixels.ts';

/** Resampling kernels, by sharp's names; all are widened by the shrink factor, so they do not alias. */
export type Kernel = 'linear' | 'cubic' | 'mitchell' | 'lanczos2' | 'lanczos3';

/** A JPEG file in memory and the size of its picture. */
export interface JpegFile extends Size {
  readonly bytes: Uint8Array;
}

const rawInput = ({ data, width, height, channels }: Image): Sharp => sharp(data, { raw: { width, height, channels } });

/** What {@link resizeImage} does besides resizing: mirror, then cut a window out of the result. */
export interface ResizeOptions {
  readonly kernel: Kernel;
  readonly flip?: boolean;
  readonly window?: Rect;
}

const sameSize = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height;

/**
 * resizeImage: the whole picture stretched to `size`, mirrored if asked; only the pixels of `window` are computed. Sides
 * that shrink use `kernel`; sides that grow are bilinear.
 */
export async function resizeImage(image: Image, size: Size, options: ResizeOptions): Promise<Image> {
  if (size.width > image.width || size.height > image.height) {
    const least = { width: Math.min(size.width, image.width), height: Math.min(size.height, image.height) };
    const shrunk = await resizeImage(image, least, { kernel: options.kernel });
    return resizeImage(enlarge(shrunk, size), size, options);
  }
  const { kernel, flip = false, window } = options;
  const resized = !sameSize(image, size);
  if (!resized && !flip && window === undefined) return image;
  const pipeline = rawInput(image);
  // From pixels in memory there is no shrink-on-load: the kernel alone decides.
  if (resized) pipeline.resize(size.width, size.height, { fit: 'fill', kernel });
  if (flip) pipeline.flop();
  if (window !== undefined) {
    const { x, y: top, width, height } = window;
    // sharp cuts out after resizing and mirroring, but before mirroring where nothing is resized.
    const left = flip && !resized ? size.width - x - width : x;
    pipeline.extract({ left, top, width, height });
  }
  return imageOf(pipeline);
}

/** encodeJpeg: the picture as a baseline JPEG, `quality` 1..100; 4:2:0 halves the colour's resolution. */
export async function encodeJpeg(
  image: Image,
  quality: number,
  chromaSubsampling: '4:2:0' | '4:4:4' = '4:2:0',
): Promise<JpegFile> {
  const bytes = await rawInput(image).jpeg({ quality, chromaSubsampling }).toBuffer();
  return { width: image.width, height: image.height, bytes };
}

/** decodeJpeg: a JPEG we wrote ourselves (upright, RGB) -> RGB u8 0..255. */
export const decodeJpeg = ({ bytes }: JpegFile): Promise<Image> => decodeNumbers(bytes, 'rgb');

/** encodePng: the picture as a PNG file, lossless; a grey one has one channel. */
export const encodePng = (image: Image): Promise<Buffer> =>
  rawInput(image)
    .toColourspace(image.channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();
