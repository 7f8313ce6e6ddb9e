import { defineDamage, type Range, uniform } from './types.ts';

/** Gaussian noise. */
export const noise = defineDamage({
  name: 'noise',
  describe: 'Gaussian noise of standard deviation `sigma` (of 255); `mono` adds the same to red, green and blue',
  defaults: { sigma: [5, 30] as Range, mono: false },
  limits: { sigma: [0, 255] },
  apply: (image, rng, options) => {
    const sigma = uniform(rng, options.sigma);
    const data = new Uint8ClampedArray(image.data.length);
    let shift = 0;
    for (let i = 0; i < data.length; i++) {
      if (!options.mono || i % image.channels === 0) shift = sigma * rng.normal();
      data[i] = image.data[i]! + shift;
    }
    return { ...image, data: new Uint8Array(data.buffer) };
  },
});
