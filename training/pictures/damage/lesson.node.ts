import { encodeJpeg } from '../image-io.node.ts';
import { drawAtRandom, lookLimits, standardLook } from './number-text.ts';
import { shrinkTo } from './shrink.node.ts';
import { defineDamage, type Range } from './types.ts';

/** The damage of fast.ai's lesson 7 ("crappify"): small, its JPEG quality written on it, then saved at that quality. */
export const lesson = defineDamage({
  name: 'lesson',
  describe: 'shrunk to a short side of `shortSide` px, the JPEG `quality` drawn on it, saved at it (4:2:0)',
  defaults: { shortSide: 96, quality: [10, 70] as Range, ...standardLook },
  limits: { shortSide: [1, 16384], quality: [1, 100], ...lookLimits },
  apply: async (image, rng, { shortSide, quality: range, ...look }) => {
    const quality = rng.int(...range);
    return encodeJpeg(drawAtRandom(await shrinkTo(image, shortSide), quality, rng, look), quality);
  },
});
