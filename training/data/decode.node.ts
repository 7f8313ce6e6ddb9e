import type { Image } from '../core/image.ts';
import { createRng } from '../core/rng.ts';
import { decodeRgb } from '../pictures/decode.node.ts';
import { resizeImage } from '../pictures/image-io.node.ts';
import { decodeMask } from '../pictures/masks/mask-file.node.ts';
import { cachedDecoder } from '../pictures/photo-cache.ts';
import { shortSideOf, sizeForShortSide } from '../pictures/sizes.ts';
import { damagedSampler } from './damage-sample.node.ts';
import type { Sampler } from './fill.ts';
import { type DecodedItem, type SampleSpec, withChannels, writeSample } from './sample.ts';
import type { LabelledItem } from './types.ts';

/** Reads an item's pictures. */
export type ItemDecoder = (item: LabelledItem) => Promise<DecodedItem>;

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
  const picture =
    spec.label.kind === 'mask' ? cachedDecoder((path) => decodeMask(path, spec.label.maskForm), cacheBytes / 3) : photo;
  return async ({ source, target }) => ({
    x: typeof source === 'string' ? await photo(source) : source,
    y: typeof target === 'string' ? await picture(target) : target,
  });
}

/** samplerOf: reads items and makes their samples by `spec`; random choices are keyed by `seed`, the place and the item's name. */
export function samplerOf(spec: SampleSpec, seed: number, cacheBytes: number): Sampler {
  if (spec.label.damage !== undefined) return damagedSampler(spec, spec.label.damage, seed, cacheBytes);
  const decode = itemDecoder(spec, cacheBytes);
  return async (item, { part, epoch, round }, views, statistics) => {
    const rng = createRng(seed, 'sample', part, epoch, round, item.name);
    writeSample(await decode(item), spec, part, rng, views, statistics);
  };
}
