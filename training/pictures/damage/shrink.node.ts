import type { Image } from '../../core/image.ts';
import { resizeImage } from '../image-io.node.ts';
import { shortSideOf, sizeForShortSide } from '../sizes.ts';
import { defineDamage } from './types.ts';

/** The picture with its short side shrunk to `shortSide` px by a triangle filter widened by the factor; never enlarged. */
export async function shrinkTo(image: Image, shortSide: number): Promise<Image> {
  if (shortSideOf(image) <= shortSide) return image;
  return resizeImage(image, sizeForShortSide(image, shortSide), { kernel: 'linear' });
}

/** Lower resolution. */
export const shrink = defineDamage({
  name: 'shrink',
  describe: 'resized to a short side of `shortSide` px (triangle filter); a smaller picture keeps its size',
  defaults: { shortSide: 96 },
  limits: { shortSide: [1, 16384] },
  apply: (image, _rng, { shortSide }) => shrinkTo(image, shortSide),
});
