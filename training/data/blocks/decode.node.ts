import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { ensure } from '../../core/errors.ts';
import type { Image } from '../../core/image.ts';
import { decodeRgb, resizeImage } from '../image-io.node.ts';
import { cachedDecoder } from '../photo-cache.ts';
import { shortSideOf, sizeForShortSide } from '../sizes.ts';
import { type DecodedItem, type SampleSpec, withChannels } from './sample.ts';
import type { LabelledItem } from './types.ts';

/** Reads an item's pictures. */
export type ItemDecoder = (item: LabelledItem) => Promise<DecodedItem>;

/** decodeMask: a picture file of class ids -> one channel u8; throws `bad-data` unless it has one channel of 8 bits. */
export async function decodeMask(path: string): Promise<Image> {
  const file = sharp(await readFile(path), { failOn: 'error' });
  const { channels, depth, isPalette = false } = await file.metadata();
  ensure(channels === 1 && depth === 'uchar' && !isPalette, 'bad-data', () => {
    const got = isPalette ? 'a palette' : `${channels} of ${depth}`;
    return `decodeMask: expected one channel of 8-bit class ids in ${path}, got ${got}; save masks as grey PNG`;
  });
  const { data, info } = await file.toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  ensure(info.channels === 1, 'internal', () => `decodeMask: expected one channel of ${path}, got ${info.channels}`);
  return { width: info.width, height: info.height, channels: 1, data };
}

/** decodePhoto: a file -> u8, at most about twice as large as samples can use, or with the short side `presize`. */
async function decodePhoto(path: string, { size, presize, channels }: SampleSpec): Promise<Image> {
  const image = await decodeRgb(path, presize ?? 2 * shortSideOf(size));
  const shrinks = presize !== undefined && shortSideOf(image) > presize;
  const shrunk = shrinks ? await resizeImage(image, sizeForShortSide(image, presize), { kernel: 'linear' }) : image;
  return withChannels(shrunk, channels);
}

/** itemDecoder: reads items by `spec`; `cacheBytes` of decoded photos are kept, and of masks (a third of a photo each) a third of that. */
export function itemDecoder(spec: SampleSpec, cacheBytes: number): ItemDecoder {
  const photo = cachedDecoder((path) => decodePhoto(path, spec), cacheBytes);
  const picture = spec.label.kind === 'mask' ? cachedDecoder(decodeMask, cacheBytes / 3) : photo;
  return async ({ source, target }) => ({
    x: typeof source === 'string' ? await photo(source) : source,
    y: typeof target === 'string' ? await picture(target) : target,
  });
}
