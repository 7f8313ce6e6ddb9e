import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import sharp from 'sharp';
import { FettleError } from '../../../training/core/errors.ts';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import { encodePng } from '../../../training/pictures/image-io.node.ts';
import { parseCoco } from '../../../training/pictures/masks/coco.ts';
import { decodeMask } from '../../../training/pictures/masks/mask-file.node.ts';
import { encodePaletteIds, readPaletteIds } from '../../../training/pictures/masks/palette-png.node.ts';
import { encodeRle, paintPolygon, paintRle } from '../../../training/pictures/masks/rle.ts';
import { pngChunk, pngSignature } from '../../../training/pictures/png.ts';
import { failureOf } from '../../helpers/blocks.ts';
import { withFolder } from '../../helpers/photos.ts';

const randomIds = (width: number, height: number, classes: number, seed = 1): Image => {
  const rng = createRng(seed, width, height);
  return {
    width,
    height,
    channels: 1,
    data: Uint8Array.from({ length: width * height }, () => rng.int(0, classes - 1)),
  };
};

const equalImages = (a: Image, b: Image): void => {
  expect([a.width, a.height, a.channels]).to.deep.equal([b.width, b.height, b.channels]);
  expect([...a.data]).to.deep.equal([...b.data]);
};

/** A grey PNG of 1, 2 or 4 bits. */
function encodeGreyBits({ width, height, data }: Image, bits: number): Uint8Array {
  const rowBytes = Math.ceil((width * bits) / 8) + 1;
  const rows = new Uint8Array(rowBytes * height);
  data.forEach((id, i) => {
    const [row, bit] = [Math.floor(i / width), (i % width) * bits];
    rows[row * rowBytes + 1 + (bit >> 3)]! |= id << (8 - bits - (bit & 7));
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = bits;
  const chunks = [pngChunk('IHDR', header), pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND', new Uint8Array())];
  return Buffer.concat([pngSignature, ...chunks]);
}

/** The pixels of a file as the library sees them, RGB. */
const rgbOf = (file: Uint8Array): Promise<Buffer> => sharp(file).removeAlpha().toColourspace('srgb').raw().toBuffer();

describe('palette PNG', () => {
  // Two places of one colour, as in files whose table is filled up with black.
  const colors = [
    [0, 0, 0],
    [255, 0, 0],
    [0, 0, 0],
    [10, 20, 30],
    [0, 0, 255],
  ];

  it('keeps every id, also where two have one colour', () => {
    for (const [width, height] of [
      [1, 1],
      [7, 3],
      [64, 33],
    ] as const) {
      const ids = randomIds(width, height, 5);
      equalImages(readPaletteIds(encodePaletteIds(ids, colors))!, ids);
    }
  });

  it('shows the colours to others; ids beyond the table are black', async () => {
    const ids: Image = { width: 3, height: 2, channels: 1, data: Uint8Array.of(1, 3, 4, 0, 2, 200) };
    const rgb = await rgbOf(encodePaletteIds(ids, colors));
    const wanted = [...ids.data].flatMap((id) => colors[id] ?? [0, 0, 0]);
    expect([...rgb]).to.deep.equal(wanted);
  });

  it('reads 1, 2, 4 and 8 bits and every filter as another writer makes them', async () => {
    for (const [count, seed] of [
      [2, 1],
      [4, 2],
      [16, 3],
      [200, 4],
    ] as const) {
      const ids = randomIds(61, 40, count, seed);
      const color = (id: number): readonly number[] => [(id * 37) % 256, (id * 91) % 256, id];
      // Runs, so that the writer's filters have something to do.
      const smooth = { ...ids, data: ids.data.map((_, i) => ids.data[i - (i % 5)]!) };
      const raw = Uint8Array.from(
        { length: 3 * smooth.data.length },
        (_, i) => color(smooth.data[Math.floor(i / 3)]!)[i % 3]!,
      );
      const file = await sharp(raw, { raw: { width: 61, height: 40, channels: 3 } })
        .png({ palette: true, colours: count, quality: 100, dither: 0, adaptiveFiltering: true })
        .toBuffer();
      const read = readPaletteIds(file)!;
      const rgb = await rgbOf(file);
      const shown = new Map<number, string>();
      for (const [i, id] of read.data.entries()) {
        const here = String([...rgb.subarray(3 * i, 3 * i + 3)]);
        expect(shown.get(id) ?? here, `place ${id} of ${count}`).to.equal(here);
        shown.set(id, here);
      }
      expect(shown.size).to.equal(new Set(smooth.data).size);
    }
  });

  it('is no palette: undefined; damaged: an error', async () => {
    expect(readPaletteIds(Uint8Array.of(1, 2, 3))).to.equal(undefined);
    expect(readPaletteIds(await encodePng(randomIds(4, 4, 3)))).to.equal(undefined);
    const file = encodePaletteIds(randomIds(9, 9, 5), colors);
    const broken = file.slice();
    broken[broken.length - 20]! ^= 1;
    expect(() => readPaletteIds(broken)).to.throw(/expected the checksum of IDAT/);
    expect(() => readPaletteIds(file.slice(0, -16))).to.throw(/expected \d+ bytes of IDAT, got fewer/);
  });
});

describe('decodeMask', () => {
  const ids = randomIds(13, 9, 3);
  const table = [
    [128, 0, 0],
    [0, 128, 0],
    [0, 0, 128],
  ] as const;
  const painted = async (): Promise<Buffer> => {
    const data = Uint8Array.from(
      { length: 3 * ids.data.length },
      (_, i) => table[ids.data[Math.floor(i / 3)]!]![i % 3]!,
    );
    return encodePng({ ...ids, channels: 3, data });
  };

  it('grey ids, palette, colours: the same ids', () =>
    withFolder(async (folder) => {
      const at = (name: string): string => join(folder, name);
      await writeFile(at('grey.png'), await encodePng(ids));
      await writeFile(at('palette.png'), encodePaletteIds(ids, table));
      await writeFile(at('colors.png'), await painted());
      equalImages(await decodeMask(at('grey.png')), ids);
      equalImages(await decodeMask(at('palette.png')), ids);
      equalImages(await decodeMask(at('colors.png'), { kind: 'colors', colors: table }), ids);
      equalImages(await decodeMask(at('palette.png'), { kind: 'colors', colors: table }), ids);
    }));

  it('grey ids of 1, 2 and 4 bits are what the file says, not its greys', () =>
    withFolder(async (folder) => {
      for (const bits of [1, 2, 4] as const) {
        const ids = randomIds(13, 9, 2 ** bits, bits);
        const path = join(folder, `${bits}.png`);
        await writeFile(path, encodeGreyBits(ids, bits));
        expect((await sharp(path).metadata()).channels).to.equal(1);
        equalImages(await decodeMask(path), ids);
      }
    }));

  it('black and white by a threshold', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'binary.png');
      const grey = Uint8Array.of(0, 127, 128, 255);
      await writeFile(path, await encodePng({ width: 4, height: 1, channels: 1, data: grey }));
      expect([...(await decodeMask(path, { kind: 'threshold', from: 128 })).data]).to.deep.equal([0, 0, 1, 1]);
    }));

  it('says which colour it does not know, and where; and wants one channel for ids', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'colors.png');
      await writeFile(path, await painted());
      const at = ids.data.indexOf(2);
      expect(await failureOf(decodeMask(path, { kind: 'colors', colors: table.slice(0, 2) }))).to.include(
        `got [0,0,128] at (${at % 13}, ${Math.floor(at / 13)})`,
      );
      expect(await failureOf(decodeMask(path))).to.match(/one channel of 8-bit class ids .* got 3 of uchar/);
    }));
});

describe('COCO masks', () => {
  it('packs runs as COCO does', () => {
    // By hand: 5; 1; 40 = 8 + 32*1; 2 - 1; 1000 - 40 = 960 = 0 + 32*30.
    const ids = new Uint8Array(1048);
    paintRle(ids, { size: [1, 1048], counts: [5, 1, 40, 2, 1000] }, 1);
    expect(encodeRle(ids, { width: 1048, height: 1 }, 1)).to.deep.equal({ size: [1, 1048], counts: '51X11Pn0' });
    expect([...ids.keys()].filter((i) => ids[i] === 1)).to.deep.equal([5, 46, 47]);
  });

  it('any mask comes back from its runs', () => {
    const sizes = fc.record({
      width: fc.integer({ min: 1, max: 40 }),
      height: fc.integer({ min: 1, max: 40 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(sizes, ({ width, height, seed }) => {
        const { data } = randomIds(width, height, 3, seed);
        const out = new Uint8Array(data.length);
        for (const id of [1, 2]) paintRle(out, encodeRle(data, { width, height }, id), id);
        expect([...out]).to.deep.equal([...data]);
      }),
    );
  });

  it('counts run down the columns', () => {
    const ids = new Uint8Array(6);
    paintRle(ids, { size: [2, 3], counts: [1, 2, 3] }, 7);
    // Column 0: out, in; column 1: in, out; column 2: out, out.
    expect([...ids]).to.deep.equal([0, 7, 0, 7, 0, 0]);
  });

  it('runs that do not fill the picture are refused', () => {
    const paint = (counts: readonly number[] | string) => () =>
      paintRle(new Uint8Array(6), { size: [2, 3], counts }, 1);
    expect(paint([1, 2])).to.throw(/runs that fill 3x2 = 6 pixels, got 3/);
    expect(paint('5')).to.throw(/got 5/);
    expect(paint('5X')).to.throw(/expected characters 48..111/);
  });

  it('fills the pixels whose centres a polygon contains, also beyond the border', () => {
    const paint = (points: readonly number[]): string => {
      const ids = new Uint8Array(20);
      paintPolygon(ids, { width: 5, height: 4 }, points, 1);
      return Array.from({ length: 4 }, (_, row) => ids.subarray(5 * row, 5 * row + 5).join('')).join(' ');
    };
    expect(paint([1, 1, 4, 1, 4, 3, 1, 3])).to.equal('00000 01110 01110 00000');
    expect(paint([-3, -3, 2.4, -3, 2.4, 2.6, -3, 2.6])).to.equal('11000 11000 11000 00000');
    expect(paint([0, 0, 4, 0, 0, 4])).to.equal('11100 11000 10000 00000');
    // A square with a square hole, by the even-odd rule, in one outline.
    expect(paint([0, 0, 5, 0, 5, 4, 0, 4, 0, 0, 1, 1, 4, 1, 4, 3, 1, 3, 1, 1])).to.equal('11111 10001 10001 11111');
    expect(() => paint([1, 2, 3, 4])).to.throw(/at least three points/);
  });

  it('a file of polygons and runs becomes masks; later ones lie on top', () => {
    const text = JSON.stringify({
      images: [
        { id: 4, file_name: 'a.jpg', width: 3, height: 2 },
        { id: 9, file_name: 'b.jpg', width: 2, height: 1 },
      ],
      categories: [
        { id: 18, name: 'dog' },
        { id: 7, name: 'cat' },
      ],
      annotations: [
        { image_id: 4, category_id: 18, segmentation: [[0, 0, 3, 0, 3, 2, 0, 2]] },
        { image_id: 4, category_id: 7, segmentation: { size: [2, 3], counts: [1, 2, 3] } },
      ],
    });
    const { classes, names, maskOf } = parseCoco(text);
    expect(classes).to.deep.equal(['background', 'cat', 'dog']);
    expect(names).to.deep.equal(['a.jpg', 'b.jpg']);
    expect([...maskOf('a.jpg').data]).to.deep.equal([2, 1, 2, 1, 2, 2]);
    expect([...maskOf('b.jpg').data]).to.deep.equal([0, 0]);
    expect(() => maskOf('c.jpg')).to.throw(/expected a picture of it, got 'c.jpg'/);
    expect(() => parseCoco('{"images":[]}')).to.throw(/expected COCO's form/);
    expect(() => parseCoco('{"images":[', 'a.json')).to.throw(FettleError, /^a\.json: expected JSON, got /);
    const swapped = text.replace('"size":[2,3]', '"size":[3,2]');
    expect(() => parseCoco(swapped).maskOf('a.jpg')).to.throw(
      FettleError,
      /size \[height, width\] = \[2, 3\] for a.jpg, got \[3, 2\]/,
    );
    expect(() => parseCoco(text.replace('"category_id":7', '"category_id":8'))).to.throw(/categories 7,18, got 8/);
  });
});
