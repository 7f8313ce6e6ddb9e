import { expect } from 'chai';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import {
  bleedUnderAlpha,
  imageOfPlanes,
  type Rect,
  type Scale,
  sampleWindow,
  writeAlpha,
  writeWindow,
} from '../../../training/pictures/transforms/pixels.ts';

function noise(width: number, height: number, channels: Image['channels'], seed = 1): Image {
  const rng = createRng(seed);
  return {
    width,
    height,
    channels,
    data: Uint8Array.from({ length: width * height * channels }, () => rng.int(0, 255)),
  };
}

/** The definition, one value at a time: reflect, then interpolate between the four nearest source pixels. */
function valueAt(image: Image, scale: number, channel: number, x: number, y: number): number {
  const reflect = (i: number, n: number): number => {
    let at = i;
    while (at < 0 || at >= n) at = n === 1 ? 0 : at < 0 ? -at : 2 * (n - 1) - at;
    return at;
  };
  const axis = (i: number, n: number): [number, number, number] => {
    const position = (reflect(i, n * scale) + 0.5) / scale - 0.5;
    const low = Math.floor(position);
    return [Math.max(0, low), Math.min(n - 1, low + 1), position - low];
  };
  const [x0, x1, fx] = axis(x, image.width);
  const [y0, y1, fy] = axis(y, image.height);
  const at = (px: number, py: number): number => image.data[(py * image.width + px) * image.channels + channel]!;
  const top = at(x0, y0) * (1 - fx) + at(x1, y0) * fx;
  const bottom = at(x0, y1) * (1 - fx) + at(x1, y1) * fx;
  return (top * (1 - fy) + bottom * fy) / 255;
}

function expectWindow(image: Image, scale: Scale, window: Rect): void {
  const planes = sampleWindow(image, scale, window);
  expect(planes.length).to.equal(3 * window.width * window.height);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < window.height; y++) {
      for (let x = 0; x < window.width; x++) {
        const channel = image.channels === 1 ? 0 : c;
        const want = valueAt(image, scale, channel, window.x + x, window.y + y);
        const got = planes[(c * window.height + y) * window.width + x]!;
        if (Math.abs(got - want) > 1e-6) expect.fail(`scale ${scale}, ${c} ${x} ${y}: expected ${want}, got ${got}`);
      }
    }
  }
}

describe('data: sampleWindow', () => {
  const sizes: readonly (readonly [number, number])[] = [
    [1, 1],
    [2, 1],
    [5, 7],
    [16, 9],
  ];
  for (const scale of [1, 2, 4] as const) {
    for (const channels of [1, 3, 4] as const) {
      it(`is bilinear with half-pixel centres and reflects past the end: scale ${scale}, ${channels} channels`, () => {
        for (const [width, height] of sizes) {
          const image = noise(width, height, channels);
          expectWindow(image, scale, { x: 0, y: 0, width: width * scale + 13, height: height * scale + 6 });
          expectWindow(image, scale, { x: width * scale - 1, y: 0, width: 3, height: 2 });
          if (width > 2) expectWindow(image, scale, { x: 2, y: 3, width: 4, height: 3 });
        }
      });
    }
  }

  it('writes into the array it is given', () => {
    const out = new Float32Array(12);
    expect(sampleWindow(noise(2, 2, 3), 1, { x: 0, y: 0, width: 2, height: 2 }, out)).to.equal(out);
    expect(out.some((value) => value > 0)).to.equal(true);
  });
});

describe('imageOfPlanes', () => {
  it('gives the pixels of planes, or of their upper left', () => {
    const image = noise(5, 4, 3);
    const planes = sampleWindow(image, 1, { x: 0, y: 0, width: 5, height: 4 });
    expect(imageOfPlanes(planes, { width: 5, height: 4 })).to.deep.equal(image);
    const corner = imageOfPlanes(planes, { width: 5, height: 4 }, { width: 2, height: 3 });
    expect([corner.width, corner.height, corner.channels]).to.deep.equal([2, 3, 3]);
    const rows = [0, 1, 2].flatMap((y) => [...image.data.subarray(15 * y, 15 * y + 6)]);
    expect([...corner.data]).to.deep.equal(rows);
  });
});

describe('data: writeWindow', () => {
  it('undoes sampleWindow at scale 1, and touches nothing outside the crop', () => {
    for (const channels of [3, 4] as const) {
      const image = noise(9, 6, channels);
      const target: Image = { ...image, data: new Uint8Array(image.data.length).fill(77) };
      const window = { x: 2, y: 1, width: 6, height: 5 };
      const crop = { x: 3, y: 2, width: 4, height: 3 };
      writeWindow(sampleWindow(image, 1, window), window, crop, target);
      for (let i = 0; i < target.data.length; i++) {
        const [x, y] = [Math.floor(i / channels) % 9, Math.floor(i / channels / 9)];
        const inside = x >= 3 && x < 7 && y >= 2 && y < 5 && i % channels < 3;
        expect(target.data[i], `byte ${i}`).to.equal(inside ? image.data[i] : 77);
      }
    }
  });

  it('rounds and clips', () => {
    const target: Image = { width: 2, height: 1, channels: 3, data: new Uint8Array(6) };
    const all = { x: 0, y: 0, width: 2, height: 1 };
    writeWindow(Float32Array.of(-1, 2, 0.6 / 255, 0.4 / 255, Number.NaN, 1), all, all, target);
    expect([...target.data]).to.deep.equal([0, 1, 0, 255, 0, 255]);
  });
});

describe('data: alpha', () => {
  it('is enlarged like a colour and leaves the colours alone', () => {
    const image = noise(5, 4, 4);
    const target: Image = { width: 10, height: 8, channels: 4, data: new Uint8Array(320).fill(9) };
    writeAlpha(image, 2, { x: 0, y: 0, width: 10, height: 4 }, target);
    writeAlpha(image, 2, { x: 0, y: 4, width: 10, height: 4 }, target);
    for (let i = 0; i < 80; i++) {
      expect(target.data[4 * i]).to.equal(9);
      const want = valueAt(image, 2, 3, i % 10, Math.floor(i / 10)) * 255;
      expect(Math.abs(target.data[4 * i + 3]! - want)).to.be.at.most(0.5 + 1e-6);
    }
  });

  it('spreads visible colours under full transparency, by nearness', () => {
    const width = 7;
    const data = new Uint8Array(4 * width * 3).fill(0);
    data.set([10, 20, 30, 255], 4 * width); // left end of the middle row
    data.set([200, 100, 50, 1], 4 * (2 * width - 1)); // right end
    bleedUnderAlpha({ width, height: 3, channels: 4, data });
    const red = (x: number, y: number): number => data[4 * (y * width + x)]!;
    for (const y of [0, 1, 2]) {
      expect([0, 1, 2].map((x) => red(x, y))).to.deep.equal([10, 10, 10]);
      expect([4, 5, 6].map((x) => red(x, y))).to.deep.equal([200, 200, 200]);
    }
    expect([data[4 * width + 3], data[4 * (2 * width - 1) + 3], data[3]]).to.deep.equal([255, 1, 0]);
  });

  it('leaves pictures that are all visible or all hidden alone', () => {
    for (const alpha of [0, 3]) {
      const image = noise(6, 5, 4);
      for (let i = 3; i < image.data.length; i += 4) image.data[i] = alpha;
      const before = [...image.data];
      bleedUnderAlpha(image);
      expect([...image.data]).to.deep.equal(before);
    }
  });
});
