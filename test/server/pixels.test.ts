import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp, { type Sharp } from 'sharp';
import type { RunningServer } from '../../server/main.ts';
import { runOf } from '../../tasks/restore/infer.ts';
import { restoreImage } from '../../training/pictures/tiles.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { wavyImage } from '../helpers/photos.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';
import { type Bench, createBench, identityModel, photosDir, post } from './harness.ts';

const rawOf = (width: number, height: number): Sharp =>
  sharp(wavyImage(width, height, 5).data, { raw: { width, height, channels: 3 } });

const pixelsOf = async (file: Uint8Array | Sharp): Promise<Buffer> =>
  (file instanceof Uint8Array ? sharp(file) : file).raw().toBuffer();

function largestDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).to.equal(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

describe('server: pixels around a model that changes nothing', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publish(identityModel());
    server = await bench.start();
  });
  after(() => bench.end());

  const restored = async (file: Uint8Array, query = '?format=png'): Promise<Buffer> => {
    const response = await post(server.url, file, query);
    if (response.status !== 200) expect.fail(await response.text());
    return Buffer.from(await response.arrayBuffer());
  };

  it('gives back exactly the pixels of 8-bit sRGB, at any odd size', async () => {
    for (const [width, height] of [
      [1, 1],
      [3, 17],
      [101, 67],
    ] as const) {
      const file = await rawOf(width, height).png().toBuffer();
      expect(largestDifference(await pixelsOf(await restored(file)), await pixelsOf(file))).to.equal(0);
    }
  });

  it('turns all eight orientations upright and resets the tag', async () => {
    const [w, h] = [40, 24];
    // Where the pixel stored at (x, y) belongs, by what row 0 and column 0 of the file are (EXIF 2.3, 4.6.4 A).
    const places: readonly ((x: number, y: number) => readonly [number, number])[] = [
      (x, y) => [x, y], // top, left
      (x, y) => [w - 1 - x, y], // top, right
      (x, y) => [w - 1 - x, h - 1 - y], // bottom, right
      (x, y) => [x, h - 1 - y], // bottom, left
      (x, y) => [y, x], // left, top
      (x, y) => [w - 1 - y, x], // right, top
      (x, y) => [w - 1 - y, h - 1 - x], // right, bottom
      (x, y) => [y, h - 1 - x], // left, bottom
    ];
    const upright = wavyImage(w, h, 5).data;
    for (const [i, place] of places.entries()) {
      const [width, height] = i < 4 ? [w, h] : [h, w];
      const stored = Buffer.alloc(3 * w * h);
      for (let at = 0; at < w * h; at++) {
        const [x, y] = place(at % width, Math.floor(at / width));
        stored.set(upright.subarray(3 * (y * w + x), 3 * (y * w + x) + 3), 3 * at);
      }
      const file = await sharp(stored, { raw: { width, height, channels: 3 } })
        .withMetadata({ orientation: i + 1 })
        .png()
        .toBuffer();
      const answer = await restored(file);
      const metadata = await sharp(answer).metadata();
      expect([metadata.width, metadata.height, metadata.orientation ?? 1], `orientation ${i + 1}`).to.deep.equal([
        w,
        h,
        1,
      ]);
      expect(largestDifference(await pixelsOf(answer), upright), `orientation ${i + 1}`).to.equal(0);
    }
  });

  it('shows wide-gamut pictures in the same colours, with a profile again', async () => {
    const plain = await rawOf(48, 48).png().toBuffer();
    const wide = await sharp(plain).withIccProfile('p3').png({ compressionLevel: 1 }).toBuffer();
    const stored = await pixelsOf(sharp(wide, { ignoreIcc: true }));
    expect(largestDifference(stored, await pixelsOf(plain))).to.be.above(8); // it really is stored in other numbers
    const answer = await restored(wide);
    expect((await sharp(answer).metadata()).icc).to.be.instanceOf(Buffer);
    // Eight bits of the wider gamut are coarser, most of all where a colour is dark and strong.
    const [got, want] = [await pixelsOf(answer), await pixelsOf(plain)];
    expect(largestDifference(got, want)).to.be.at.most(6);
    expect(got.reduce((sum, value, i) => sum + Math.abs(value - want[i]!), 0) / got.length).to.be.below(0.6);
    expect((await sharp(await restored(plain)).metadata()).icc).to.equal(undefined);
  });

  it('reads grey, 16 bits, palettes and CMYK as what they look like', async () => {
    const grey = await rawOf(32, 20).greyscale().png().toBuffer();
    const answer = await pixelsOf(await restored(grey));
    const one = await pixelsOf(sharp(grey).extractChannel(0));
    expect(answer.every((value, i) => value === one[Math.floor(i / 3)])).to.equal(true);

    const deep = Uint16Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 251) % 65_536);
    const deepRaw = sharp(deep, { raw: { width: 16, height: 16, channels: 3 } }).toColourspace('rgb16');
    const shallow = await pixelsOf(await restored(await deepRaw.png().toBuffer()));
    expect(shallow.every((value, i) => Math.abs(value - deep[i]! / 257) <= 1)).to.equal(true);

    const palette = await rawOf(32, 20).png({ palette: true, colours: 16, dither: 0 }).toBuffer();
    expect(largestDifference(await pixelsOf(await restored(palette)), await pixelsOf(palette))).to.equal(0);

    const flat = { width: 8, height: 8, channels: 3, background: { r: 200, g: 60, b: 40 } } as const;
    const cmyk = await sharp({ create: flat }).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(cmyk).metadata()).space).to.equal('cmyk');
    const [r = 0, g = 0, b = 0] = await pixelsOf(await restored(cmyk));
    for (const [value, want] of [
      [r, 200],
      [g, 60],
      [b, 40],
    ] as const) {
      expect(Math.abs(value - want)).to.be.at.most(40); // a conversion without a profile of its own
    }
  });

  it('keeps alpha as it is, and the colours where something is visible', async () => {
    const { data } = wavyImage(30, 22, 9);
    const rgba = Buffer.alloc(30 * 22 * 4);
    for (let i = 0; i < 30 * 22; i++) rgba.set([...data.subarray(3 * i, 3 * i + 3), (i * 5) % 256], 4 * i);
    const raw = { width: 30, height: 22, channels: 4 } as const;
    for (const query of ['?format=png', '']) {
      const answer = await pixelsOf(await restored(await sharp(rgba, { raw }).png().toBuffer(), query));
      for (let i = 0; i < 30 * 22; i++) {
        expect(answer[4 * i + 3]).to.equal(rgba[4 * i + 3]);
        if (rgba[4 * i + 3] === 0) continue;
        expect([...answer.subarray(4 * i, 4 * i + 3)]).to.deep.equal([...rgba.subarray(4 * i, 4 * i + 3)]);
      }
    }
    const jpeg = await restored(await sharp(rgba, { raw }).png().toBuffer(), '?format=jpeg');
    expect((await sharp(jpeg).metadata()).channels).to.equal(3);
  });

  it('enlarges to exactly scale times the size, on the half-pixel grid', async () => {
    for (const scale of [2, 4]) {
      const { width, height } = await sharp(
        await restored(await rawOf(37, 23).png().toBuffer(), `?scale=${scale}&format=png`),
      ).metadata();
      expect([width, height]).to.deep.equal([37 * scale, 23 * scale]);
    }
    const row = await sharp(Uint8Array.of(0, 100, 200, 40), { raw: { width: 4, height: 1, channels: 1 } })
      .png()
      .toBuffer();
    const answer = await pixelsOf(sharp(await restored(row, '?scale=2&format=png')).extractChannel(0));
    expect([...answer.subarray(0, 8)]).to.deep.equal([0, 25, 75, 125, 175, 160, 80, 40]);
  });

  it('answers in the format that is asked for, else as the input where it can, else in PNG', async () => {
    const gif = await rawOf(16, 16).gif().toBuffer();
    const webp = await rawOf(16, 16).webp().toBuffer();
    const tries: readonly (readonly [Uint8Array, string, string])[] = [
      [gif, '', 'png'],
      [webp, '', 'webp'],
      [webp, '?format=jpeg', 'jpeg'],
      [gif, '?format=webp', 'webp'],
    ];
    for (const [file, query, format] of tries) {
      const response = await post(server.url, file, query);
      expect(response.headers.get('content-type')).to.equal(`image/${format}`);
      expect((await sharp(Buffer.from(await response.arrayBuffer())).metadata()).format).to.equal(format);
    }
    const [coarse, fine] = [await restored(webp, '?quality=5'), await restored(webp, '?quality=95')];
    expect(coarse.length).to.be.below(fine.length);
  });
});

describe('server: tiles through ONNX Runtime', () => {
  it('are the untiled picture, at every scale and odd size', async () => {
    const { model, spec } = tinyRestoreModel();
    const session = await openSession(model, { threads: 1 });
    for (const [width, height, scale] of [
      [150, 131, 1],
      [61, 97, 2],
      [29, 31, 4],
    ] as const) {
      const restore = (tile: number): ReturnType<typeof restoreImage> =>
        restoreImage(wavyImage(width, height, 3), scale, spec, runOf(session, spec), { tile });
      const whole = await restore(4096);
      for (const tile of [64, 72]) {
        const tiled = await restore(tile);
        expect(largestDifference(tiled.data, whole.data), `tile ${tile}`).to.be.at.most(1);
        const same = tiled.data.filter((value, i) => value === whole.data[i]).length;
        expect(same / whole.data.length).to.be.above(0.999);
      }
    }
    await session.release();
  });
});

/** Tags of the first folder of an EXIF block, and of the folders below it, by number: value bytes as text or number. */
function exifTags(block: Buffer): Map<number, number | string> {
  const tiff = block.subarray(block.toString('latin1', 0, 4) === 'Exif' ? 6 : 0);
  const little = tiff[0] === 0x49;
  const u16 = (at: number): number => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const u32 = (at: number): number => (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
  const tags = new Map<number, number | string>();
  const walk = (folder: number): void => {
    for (let i = 0; i < u16(folder); i++) {
      const at = folder + 2 + 12 * i;
      const [tag, type, count] = [u16(at), u16(at + 2), u32(at + 4)];
      const from = count > 4 ? u32(at + 8) : at + 8;
      tags.set(
        tag,
        type === 2 ? tiff.toString('latin1', from, from + count - 1) : type === 3 ? u16(at + 8) : u32(at + 8),
      );
      if (tag === 0x8769 || tag === 0x8825) walk(u32(at + 8));
    }
  };
  walk(u32(4));
  return tags;
}

describe('server: metadata', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publish(identityModel());
    server = await bench.start();
  });
  after(() => bench.end());

  const exifOf = async (file: Uint8Array, query: string): Promise<Buffer | undefined> => {
    const response = await post(server.url, file, query);
    if (response.status !== 200) expect.fail(await response.text());
    const answer = Buffer.from(await response.arrayBuffer());
    await sharp(answer, { failOn: 'warning' }).stats();
    return (await sharp(answer).metadata()).exif;
  };

  const artist = 0x13b;
  const gpsFolder = 0x8825;
  const latitude = '41/1 24/1 12/1';

  /** A JPEG on its side, with an artist and a position. */
  const tagged = (): Promise<Buffer> =>
    rawOf(64, 40)
      .jpeg()
      .withMetadata({ orientation: 6 })
      .withExif({
        IFD0: { Artist: 'Ada' },
        IFD3: { GPSLatitudeRef: 'N', GPSLatitude: latitude, GPSLongitudeRef: 'E', GPSLongitude: '2/1 10/1 26/1' },
      })
      .toBuffer();

  for (const format of ['jpeg', 'png', 'webp']) {
    it(`keeps EXIF without orientation and position in ${format}; keeps the position with metadata=all; none with strip`, async () => {
      const file = await tagged();
      const before = exifTags((await sharp(file).metadata()).exif ?? Buffer.alloc(0));
      expect([before.get(artist), before.get(0x112), before.has(gpsFolder), before.has(2)]).to.deep.equal([
        'Ada',
        6,
        true,
        true,
      ]);

      const kept = await exifOf(file, `?format=${format}`);
      const tags = exifTags(kept ?? Buffer.alloc(0));
      expect([tags.get(artist), tags.get(0x112), tags.has(gpsFolder), tags.has(2)]).to.deep.equal([
        'Ada',
        1,
        false,
        false,
      ]);
      const degrees = Buffer.from([41, 0, 0, 0, 1, 0, 0, 0, 24, 0, 0, 0]);
      expect([kept?.includes(degrees), kept?.includes(Buffer.from(degrees).swap32())]).to.deep.equal([false, false]);

      const all = exifTags((await exifOf(file, `?format=${format}&metadata=all`)) ?? Buffer.alloc(0));
      expect([all.get(artist), all.get(0x112), all.has(gpsFolder), all.has(2)]).to.deep.equal(['Ada', 1, true, true]);
      expect(await exifOf(file, `?format=${format}&metadata=strip`)).to.equal(undefined);
    });
  }

  it('writes the new size into the tags that hold it', async () => {
    const tags = exifTags((await exifOf(await tagged(), '?scale=2')) ?? Buffer.alloc(0));
    expect([tags.get(0xa002), tags.get(0xa003)]).to.deep.equal([80, 128]);
  });

  it('of a real photo with a position (FETTLE_DATA/photos): gone with keep, there with all', async function () {
    const dir = photosDir();
    if (dir === undefined) return this.skip();
    const file = readFileSync(join(dir, 'gps_exif.jpg'));
    const before = exifTags((await sharp(file).metadata()).exif ?? Buffer.alloc(0));
    expect([before.has(gpsFolder), before.has(artist)]).to.deep.equal([true, true]);
    const kept = exifTags((await exifOf(file, '')) ?? Buffer.alloc(0));
    expect([kept.has(gpsFolder), kept.get(artist)]).to.deep.equal([false, before.get(artist)]);
    const all = exifTags((await exifOf(file, '?metadata=all')) ?? Buffer.alloc(0));
    expect(all.get(2)).to.equal(before.get(2));
  });
});
