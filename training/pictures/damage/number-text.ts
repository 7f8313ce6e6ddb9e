import type { Image } from '../../core/image.ts';
import type { Rng } from '../../core/rng.ts';
import { drawNumber } from './draw-digits.ts';
import { defineDamage, type Range, uniform } from './types.ts';

/** How a number looks: height in pixels, stroke thickness in heights, and how white it is (1 white, 0 black). */
export type NumberLook = { readonly height: Range; readonly thickness: Range; readonly white: Range };

/** The lesson's look: white digits 10 px high with the strokes of a regular weight. */
export const standardLook: NumberLook = { height: [10, 10], thickness: [0.13, 0.13], white: [1, 1] };

/** What values a look's parts may take. */
export const lookLimits = { height: [4, 1000], thickness: [0.02, 0.4], white: [0, 1] } as const;

/** Draws `value` with its top-left corner uniform in the picture's upper-left quarter. Takes 5 numbers from `rng`. */
export function drawAtRandom(image: Image, value: number, rng: Rng, look: NumberLook): Image {
  const left = Math.floor((rng.next() * image.width) / 2);
  const top = Math.floor((rng.next() * image.height) / 2);
  const height = uniform(rng, look.height);
  const thickness = uniform(rng, look.thickness);
  const level = Math.round(255 * uniform(rng, look.white));
  return drawNumber(image, value, { left, top, height, thickness, color: [level, level, level] });
}

/** A random integer drawn on the picture. */
export const numberText = defineDamage({
  name: 'number-text',
  describe: 'an integer of `value` in white digits, `height` px high, top-left corner in the upper-left quarter',
  defaults: { value: [10, 70] as Range, ...standardLook },
  limits: { value: [0, 1e9], ...lookLimits },
  apply: (image, rng, { value, ...look }) => drawAtRandom(image, rng.int(...value), rng, look),
});
