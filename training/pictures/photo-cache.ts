import type { Image } from '../core/image.ts';

/** Decodes a file to a picture. */
export type Decoder = (path: string) => Promise<Image>;

/**
 * cachedDecoder: `decode` that keeps the pictures used last, `maxBytes` of pixels at most; 0 keeps none. A set that fits is
 * decoded once. One that does not gains nothing: in shuffled rounds what comes next was mostly used longest ago.
 */
export function cachedDecoder(decode: Decoder, maxBytes: number): Decoder {
  const kept = new Map<string, Image>(); // in the order of their last use
  let bytes = 0;
  return async (path) => {
    const image = kept.get(path) ?? (await decode(path));
    if (image.data.length > maxBytes) return image;
    if (!kept.delete(path)) bytes += image.data.length;
    kept.set(path, image);
    for (const [oldest, { data }] of kept) {
      if (bytes <= maxBytes) break;
      kept.delete(oldest);
      bytes -= data.length;
    }
    return image;
  };
}
