import { encodeJpeg } from '../image-io.node.ts';
import { defineDamage, type Range } from './types.ts';

/** JPEG compression. */
export const jpeg = defineDamage({
  name: 'jpeg',
  describe: 'JPEG, 4:2:0, of an integer `quality` 1..100',
  defaults: { quality: [10, 70] as Range },
  limits: { quality: [1, 100] },
  apply: (image, rng, { quality }) => encodeJpeg(image, rng.int(...quality)),
});
