import { defineDamage } from './types.ts';

/** Luma of an sRGB pixel, in the units of its channels (ITU-R BT.601). */
export const luma = (r: number, g: number, b: number): number => 0.299 * r + 0.587 * g + 0.114 * b;

/** Colour taken away. */
export const grey = defineDamage({
  name: 'grey',
  describe: 'greyscale: red, green and blue all become the luma (BT.601)',
  defaults: {},
  limits: {},
  apply: (image) => {
    const data = image.data.slice();
    for (let i = 0; image.channels >= 3 && i < data.length; i += image.channels) {
      data.fill(Math.round(luma(data[i]!, data[i + 1]!, data[i + 2]!)), i, i + 3);
    }
    return { ...image, data };
  },
});
