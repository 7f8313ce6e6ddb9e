import { expect } from 'chai';
import type { Image } from '../../../training/core/image.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { psnr, ssim } from '../../../training/pictures/quality.ts';
import {
  channelStatistics,
  denormalise,
  imagenetStatistics,
  normalise,
} from '../../../training/pictures/transforms/normalise.ts';
import { plainImage, wavyImage } from '../../helpers/photos.ts';

/** Two pictures given by integer formulas, so that any language can make them. */
const first: Image = {
  ...plainImage(40, 30, 0),
  data: Uint8Array.from({ length: 3600 }, (_, i) => i * 7 + ((i * i) % 251)),
};
const second: Image = {
  ...first,
  data: Uint8Array.from(new Uint8ClampedArray([...first.data].map((v, i) => v + ((i * 31) % 41) - 20))),
};

describe('metrics', () => {
  // Reference values: NumPy and SciPy's convolve2d with the two-dimensional Gaussian window, in float64.
  it('psnr agrees with an independent computation', () =>
    expect(psnr(first, second)).to.be.closeTo(26.85674973439312, 1e-9));
  it('ssim agrees with an independent computation', () =>
    expect(ssim(first, second)).to.be.closeTo(0.9877185138998152, 1e-9));

  it('equal pictures: infinite dB, similarity 1', () => {
    expect(psnr(first, first)).to.equal(Number.POSITIVE_INFINITY);
    expect(ssim(first, first)).to.be.closeTo(1, 1e-12);
  });

  it('one level off everywhere is 48.13 dB', () => {
    expect(psnr(plainImage(8, 8, 10), plainImage(8, 8, 11))).to.be.closeTo(20 * Math.log10(255), 1e-9);
  });

  it('refuses pictures of different sizes, and too small ones', () => {
    expect(() => psnr(plainImage(8, 8, 0), plainImage(8, 9, 0))).to.throw('got 8x8x3 and 8x9x3');
    expect(() => ssim(plainImage(10, 20, 0), plainImage(10, 20, 0))).to.throw('sides of at least 11 px, got 10x20');
  });
});

describe('normalise', () => {
  const x = f32(
    [2, 3, 5, 4],
    wavyImage(10, 4, 1).data.map((v) => v),
  ).data.map((v) => v / 255);
  const batch = f32([2, 3, 5, 4], x);

  it('is (x - mean) / std of each channel, and denormalise undoes it', () => {
    const normal = normalise(batch, imagenetStatistics);
    expect(normal.data[20]).to.be.closeTo((batch.data[20]! - 0.456) / 0.224, 1e-6);
    expect(normal.data[60 + 59]).to.be.closeTo((batch.data[119]! - 0.406) / 0.225, 1e-6);
    const back = denormalise(normal, imagenetStatistics);
    for (const [i, value] of back.data.entries()) expect(value).to.be.closeTo(batch.data[i]!, 1e-6);
  });

  it('with its own statistics gives mean 0 and deviation 1', () => {
    const { mean, std } = channelStatistics(normalise(batch, channelStatistics(batch)));
    for (const value of mean) expect(value).to.be.closeTo(0, 1e-6);
    for (const value of std) expect(value).to.be.closeTo(1, 1e-5);
  });

  it('refuses other numbers of channels', () => {
    expect(() => normalise(f32([1, 2, 1, 1], [0, 0]), imagenetStatistics)).to.throw('expected 3 channels');
  });
});
