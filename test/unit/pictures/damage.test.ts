import { expect } from 'chai';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import { drawNumber } from '../../../training/pictures/damage/draw-digits.ts';
import {
  applyDamages,
  createDamage,
  damagedImage,
  damagedJpeg,
  damagePlugins,
  parseDamages,
} from '../../../training/pictures/damage/registry.node.ts';
import { type JpegFile, resizeImage } from '../../../training/pictures/image-io.node.ts';
import { plainImage, wavyImage } from '../../helpers/photos.ts';

const damage = async (list: string, image: Image, seed = 1): Promise<Image> =>
  damagedImage(await applyDamages(parseDamages(list), image, createRng(seed)));

const damageFile = async (list: string, image: Image, seed = 1): Promise<JpegFile> =>
  damagedJpeg(await applyDamages(parseDamages(list), image, createRng(seed)));

/** Sides of the smallest box around the pixels brighter than `level`. */
function boundingBox(image: Image, level: number): { left: number; top: number; right: number; bottom: number } {
  const box = { left: image.width, top: image.height, right: -1, bottom: -1 };
  for (let i = 0; i < image.width * image.height; i++) {
    if (image.data[i * image.channels]! <= level) continue;
    const [x, y] = [i % image.width, Math.floor(i / image.width)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return box;
}

/** The part of a picture around the bright pixels, 28 x 14, black where it reaches over the edge. */
function cutNumber(image: Image): Image {
  const { left, top } = boundingBox(image, 100);
  const part = plainImage(28, 14, 0);
  for (let y = 0; y < Math.min(14, image.height - top + 2); y++) {
    for (let x = 0; x < Math.min(28, image.width - left + 3); x++) {
      if (left + x < 3 || top + y < 2) continue;
      part.data.fill(
        image.data[3 * ((top - 2 + y) * image.width + left - 3 + x)]!,
        3 * (28 * y + x),
        3 * (28 * y + x) + 3,
      );
    }
  }
  return part;
}

const squaredError = (a: Image, b: Image): number => a.data.reduce((sum, v, i) => sum + (v - b.data[i]!) ** 2, 0);

/** Reads a number 10..99 off a dark picture: the one that, drawn at some place near the bright box, differs least. */
function readNumber(image: Image): number {
  const part = cutNumber(image);
  const blank = plainImage(28, 14, 0);
  let best = { value: -1, error: Number.POSITIVE_INFINITY };
  for (let value = 10; value <= 99; value++) {
    for (const [left, top] of [1, 2, 3].flatMap((x) => [1, 2].map((y) => [x, y] as const))) {
      const look = { left, top, height: 10, thickness: 0.13, color: [255, 255, 255] as const };
      const error = squaredError(drawNumber(blank, value, look), part);
      if (error < best.error) best = { value, error };
    }
  }
  return best.value;
}

/** Index just after a JPEG marker FF `code` and its two length bytes. */
function segmentStart(bytes: Uint8Array, code: number): number {
  for (let at = 2; at < bytes.length; at += 2 + bytes[at + 2]! * 256 + bytes[at + 3]!) {
    if (bytes[at] === 0xff && bytes[at + 1] === code) return at + 4;
  }
  throw new Error(`no marker ${code.toString(16)}`);
}

/** The IJG quality of a JPEG, from the first value of its luminance table: round-to-integer of 16 * scale. */
function qualityOf({ bytes }: JpegFile): number[] {
  const first = bytes[segmentStart(bytes, 0xdb) + 1]!;
  const scale = (quality: number): number => (quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality);
  const candidates = Array.from({ length: 100 }, (_, i) => i + 1);
  return candidates.filter(
    (quality) => Math.max(1, Math.min(255, Math.floor((16 * scale(quality) + 50) / 100))) === first,
  );
}

describe('damage: lesson', () => {
  it('shrinks to a short side of 96 px, whichever side that is', async () => {
    const wide = await damageFile('lesson', wavyImage(300, 200, 1));
    const tall = await damageFile('lesson', wavyImage(200, 300, 1));
    expect([wide.width, wide.height, tall.width, tall.height]).to.deep.equal([144, 96, 96, 144]);
  });

  it('leaves the size of a smaller photo alone', async () => {
    const { width, height } = await damageFile('lesson', wavyImage(60, 50, 1));
    expect([width, height]).to.deep.equal([60, 50]);
  });

  it('saves 4:2:0 at the quality that it writes on the picture', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const file = await damageFile('lesson', plainImage(160, 120, 0), seed);
      const start = segmentStart(file.bytes, 0xc0);
      expect(file.bytes[start + 7], 'luma sampling factors').to.equal(0x22);
      expect(file.bytes[start + 10], 'chroma sampling factors').to.equal(0x11);
      expect(qualityOf(file)).to.include(readNumber(await damagedImage(file)));
    }
  });

  it('draws qualities from the whole of 10..70 and nothing else', async () => {
    const photo = plainImage(16, 16, 90);
    const seen = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      for (const quality of qualityOf(await damageFile('lesson', photo, seed))) seen.add(quality);
    }
    expect(Math.min(...seen)).to.be.within(9, 11);
    expect(Math.max(...seen)).to.be.within(69, 71);
    expect(seen.size).to.be.greaterThan(50);
  });

  it('gives the same bytes for the same seed, others for another', async () => {
    const photo = wavyImage(200, 150, 2);
    const [a, b, c] = await Promise.all([5, 5, 6].map((seed) => damageFile('lesson', photo, seed)));
    expect(Buffer.compare(a!.bytes, b!.bytes)).to.equal(0);
    expect(Buffer.compare(a!.bytes, c!.bytes)).to.not.equal(0);
  });
});

describe('damage: number-text', () => {
  it('puts the top-left corner anywhere in the upper-left quarter, digits 10 px high', async () => {
    const corners = [];
    for (let seed = 0; seed < 200; seed++) {
      const box = boundingBox(await damage('number-text:value=88', plainImage(128, 96, 0), seed), 0);
      expect(box.bottom - box.top + 1, 'height').to.equal(10);
      expect(box.right - box.left + 1, 'width of two digits').to.be.within(11, 14);
      corners.push(box);
    }
    const lefts = corners.map(({ left }) => left);
    const tops = corners.map(({ top }) => top);
    expect([Math.min(...lefts), Math.min(...tops)]).to.satisfy(([x, y]: [number, number]) => x <= 2 && y <= 2);
    expect(Math.max(...lefts)).to.be.within(59, 64);
    expect(Math.max(...tops)).to.be.within(44, 47);
  });

  it('draws ten digits that can be distinguished', () => {
    const look = { left: 20, top: 10, height: 10, thickness: 0.13, color: [255, 255, 255] as const };
    for (let value = 10; value <= 99; value += 7) {
      expect(readNumber(drawNumber(plainImage(60, 40, 0), value, look))).to.equal(value);
    }
  });

  it('draws strokes at least as thick and as high as asked', async () => {
    const ink = async (options: string): Promise<number> =>
      (await damage(`number-text:value=47:${options}`, plainImage(128, 96, 0))).data.reduce((sum, v) => sum + v, 0);
    expect(await ink('thickness=0.2')).to.be.greaterThan(1.3 * (await ink('thickness=0.1')));
    const box = boundingBox(await damage('number-text:value=47:height=20', plainImage(128, 96, 0)), 0);
    expect(box.bottom - box.top + 1).to.equal(20);
  });

  it('cuts a number off at the edge of the picture and leaves the original alone', async () => {
    const photo = plainImage(12, 9, 40);
    const damaged = await damage('number-text', photo);
    expect([damaged.width, damaged.height]).to.deep.equal([12, 9]);
    expect(photo.data.every((value) => value === 40)).to.equal(true);
    expect(damaged.data.some((value) => value > 40)).to.equal(true);
  });
});

describe('damage: the others', () => {
  it('jpeg saves at its quality', async () => {
    expect(qualityOf(await damageFile('jpeg:quality=35', wavyImage(40, 30, 3)))).to.include(35);
  });

  it('shrink averages: the mean colour of a fine checkerboard stays', async () => {
    const board = plainImage(96, 96, 0);
    for (let i = 0; i < 96 * 96; i++) board.data.fill(((i % 96) + Math.floor(i / 96)) % 2 ? 255 : 0, 3 * i, 3 * i + 3);
    const small = await damage('shrink:shortSide=24', board);
    expect([small.width, small.height]).to.deep.equal([24, 24]);
    for (const value of small.data) expect(value).to.be.within(120, 136);
  });

  it('noise has the standard deviation asked for and, when mono, no colour', async () => {
    const noisy = await damage('noise:sigma=20', plainImage(100, 100, 128));
    const variance = noisy.data.reduce((sum, value) => sum + (value - 128) ** 2, 0) / noisy.data.length;
    expect(Math.sqrt(variance)).to.be.within(19, 21);
    const { data } = await damage('noise:sigma=20:mono=true', plainImage(20, 20, 128));
    for (let i = 0; i < data.length; i += 3) expect([data[i + 1], data[i + 2]]).to.deep.equal([data[i], data[i]]);
  });

  it('grey is the BT.601 luma', async () => {
    const image: Image = { width: 3, height: 1, channels: 3, data: Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255) };
    expect([...(await damage('grey', image)).data]).to.deep.equal([76, 76, 76, 150, 150, 150, 29, 29, 29]);
  });

  it('a list is applied in its order', async () => {
    const photo = wavyImage(80, 60, 4);
    const damaged = await damage('shrink:shortSide=30,noise:sigma=50,grey', photo);
    expect([damaged.width, damaged.height]).to.deep.equal([40, 30]);
    for (let i = 0; i < damaged.data.length; i += 3) expect(damaged.data[i]).to.equal(damaged.data[i + 1]);
    const { data } = await damage('grey,noise:sigma=50', photo);
    expect(data.some((value, i) => i % 3 === 0 && value !== data[i + 1])).to.equal(true);
  });

  it('every plug-in is deterministic and says what it does', async () => {
    for (const { name, describe: text } of damagePlugins) {
      const [a, b] = [await damage(name, wavyImage(120, 110, 5)), await damage(name, wavyImage(120, 110, 5))];
      expect(Buffer.compare(a.data, b.data), name).to.equal(0);
      expect(text.length, name).to.be.greaterThan(20);
    }
  });
});

describe('damage: lists', () => {
  const rejects: readonly (readonly [string, string])[] = [
    ['blur', "damage: expected one of lesson, jpeg, shrink, noise, grey, number-text, got 'blur'"],
    ['noise:amount=3', "damage: expected an option of noise (sigma, mono), got 'amount'"],
    ['noise:sigma=loud', "damage: expected a number or a range low-high for noise:sigma, got 'loud'"],
    ['noise:mono=1', "damage: expected true or false for noise:mono, got '1'"],
    ['jpeg:quality=10-170', 'damage: expected jpeg:quality within 1..100, got 10-170'],
    ['jpeg:quality=70-10', 'damage: expected jpeg:quality within 1..100, got 70-10'],
    ['shrink:shortSide=1-2', "damage: expected a number for shrink:shortSide, got '1-2'"],
  ];
  for (const [list, message] of rejects) {
    it(`'${list}' is refused`, () => expect(() => parseDamages(list)).to.throw(message));
  }

  it('a resolution given by training is a default that the list can override', async () => {
    const size = async (list: string): Promise<number> =>
      (await damagedImage(await applyDamages(parseDamages(list, 40), wavyImage(90, 80, 6), createRng(1)))).height;
    expect(await size('lesson')).to.equal(40);
    expect(await size('lesson:shortSide=30')).to.equal(30);
    expect(await size('grey')).to.equal(80);
  });

  it('createDamage takes typed options', async () => {
    const file = await createDamage('jpeg', { quality: [20, 20] }).apply(plainImage(16, 16, 9), createRng(1));
    expect(qualityOf(await damagedJpeg(file))).to.include(20);
  });
});

describe('resizeImage', () => {
  it('keeps every point in its place, shrinking or growing (half-pixel centres)', async () => {
    const [width, height] = [45, 35];
    const ramp = plainImage(width, height, 0);
    for (let i = 0; i < width * height; i++) ramp.data.fill(5 * (i % width), 3 * i, 3 * i + 3);
    for (const size of [20, 30, 45, 58, 90].map((side) => ({ width: side, height: Math.round((side * 35) / 45) }))) {
      const { data } = await resizeImage(ramp, size, { kernel: 'linear' });
      for (let x = 4; x < size.width - 4; x++) {
        const expected = 5 * (((x + 0.5) * width) / size.width - 0.5);
        expect(data[3 * (9 * size.width + x)], `${size.width} px, x ${x}`).to.be.closeTo(expected, 1);
      }
    }
  });

  for (const { width, height } of [
    { width: 50, height: 40 },
    { width: 90, height: 70 },
    { width: 120, height: 81 },
  ]) {
    it(`gives the window that the whole mirrored picture has, at ${width}x${height} of 90x70`, async () => {
      const photo = wavyImage(90, 70, 7);
      const options = { kernel: 'linear', flip: true } as const;
      const whole = await resizeImage(photo, { width, height }, options);
      const window = { x: 9, y: 5, width: 20, height: 10 };
      const part = await resizeImage(photo, { width, height }, { ...options, window });
      for (let y = 0; y < 10; y++) {
        const row = whole.data.subarray(3 * ((y + 5) * width + 9), 3 * ((y + 5) * width + 29));
        expect(Buffer.compare(part.data.subarray(60 * y, 60 * (y + 1)), row)).to.equal(0);
      }
    });
  }

  it('mirrors left and right', async () => {
    const image: Image = { width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    const mirrored = await resizeImage(image, image, { kernel: 'linear', flip: true });
    expect([...mirrored.data]).to.deep.equal([4, 5, 6, 1, 2, 3]);
  });
});
