import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp, { type Sharp } from 'sharp';
import type { RunningServer } from '../../server/main.ts';
import { packageRoot, zooDir } from '../../server/store/paths.ts';
import { openStore } from '../../server/store/store.ts';
import { specOf } from '../../tasks/config.ts';
import type { SegmentBody } from '../../tasks/segment/contract.ts';
import { segmentContract } from '../../tasks/segment/contract.ts';
import { probabilitiesOf, segmentPicture } from '../../tasks/segment/infer.ts';
import type { Image } from '../../training/core/image.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { readPaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import { paintRle } from '../../training/pictures/masks/rle.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { dataFolder } from '../helpers/data.ts';
import { type Bench, brightestChannel, createBench, errorOf, flat, photosDir, send } from './harness.ts';

/** A picture whose left part is red, middle green, right blue, in thirds of its width, as a PNG. */
function thirds(width: number, height: number): Sharp {
  const colours = [0xdd, 0x11, 0x11, 0x11, 0xdd, 0x11, 0x11, 0x11, 0xdd];
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    return colours[3 * Math.floor((3 * (Math.floor(i / 3) % width)) / width) + (i % 3)]!;
  });
  return sharp(data, { raw: { width, height, channels: 3 } }).png();
}

async function maskOf(response: Response): Promise<{ file: Buffer; width: number; height: number; data: Uint8Array }> {
  expect(response.status, response.status === 200 ? '' : await response.clone().text()).to.equal(200);
  expect(response.headers.get('content-type')).to.equal('image/png');
  const file = Buffer.from(await response.arrayBuffer());
  return { file, ...readPaletteIds(file)! };
}

describe('server: POST /v1/segment', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publishFor('segment');
    server = await bench.start();
  });
  after(() => bench.end());

  it('answers a mask of class ids in the classes colours, at the size of the picture', async () => {
    const response = await send('segment', server.url, await thirds(240, 90).toBuffer());
    const { file, width, height, data } = await maskOf(response);
    expect([width, height]).to.deep.equal([240, 90]);
    // Where two colours meet, the net sees a mixture of them: those columns may be either.
    for (const [i, id] of data.entries()) {
      if ((i % 80) % 77 >= 3) expect(id).to.equal(Math.floor((i % 240) / 80));
    }
    const { data: rgb } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    expect([...rgb.subarray(0, 3)]).to.deep.equal([255, 0, 0]);
    expect([...rgb.subarray(3 * 120, 3 * 121)]).to.deep.equal([0, 200, 0]);
    expect(response.headers.get('x-model')).to.equal('segment@1');
    expect(response.headers.get('server-timing')).to.match(/^queue;dur=[\d.]+, decode;.*model;.*encode;/);
    expect(response.headers.get('cache-control')).to.equal('no-store');
  });

  it('output=json has every class with its share and its run lengths, and says the same as the mask', async () => {
    const bytes = await thirds(100, 40)
      .composite([
        { input: { create: { width: 10, height: 10, channels: 3, background: '#1111dd' } }, left: 0, top: 20 },
      ])
      .toBuffer();
    const mask = await maskOf(await send('segment', server.url, bytes));
    const response = await send('segment', server.url, bytes, '?output=json');
    expect(response.headers.get('content-type')).to.match(/^application\/json/);
    const { width, height, classes } = (await response.json()) as SegmentBody;
    expect([width, height]).to.deep.equal([100, 40]);
    expect(classes.map(({ id, name, color }) => ({ name, color, id }))).to.deep.equal(
      brightestChannel().spec.classes.map((one, id) => ({ ...one, id })),
    );
    const ids = new Uint8Array(4000).fill(255);
    for (const { id, rle, share } of classes) {
      paintRle(ids, rle, id);
      expect(share).to.equal(mask.data.filter((one) => one === id).length / 4000);
    }
    expect(Buffer.from(ids).equals(Buffer.from(mask.data))).to.equal(true);
  });

  it('output=overlay lays the colours over the photo, as strongly as asked', async () => {
    const bytes = await thirds(60, 30).toBuffer();
    const at = async (query: string): Promise<number[]> => {
      const response = await send('segment', server.url, bytes, `?output=overlay${query}`);
      const { data, info } = await sharp(Buffer.from(await response.arrayBuffer()))
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect([response.status, info.width, info.height, info.channels]).to.deep.equal([200, 60, 30, 3]);
      return [...data.subarray(3 * 30, 3 * 31)];
    };
    expect(await at('&opacity=0')).to.deep.equal([0x11, 0xdd, 0x11]);
    expect(await at('&opacity=1')).to.deep.equal([0, 200, 0]);
    expect(await at('')).to.deep.equal([9, 211, 9]);
    expect(await at('&opacity=.25')).to.deep.equal([13, 216, 13]);
  });

  it('turns a photo upright, and keeps no EXIF in masks; an overlay keeps it', async () => {
    const tags = { IFD0: { Artist: 'Ada' } };
    const bytes = await sharp(await thirds(90, 60).toBuffer())
      .jpeg()
      .withExif(tags)
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const { file, width, height, data } = await maskOf(await send('segment', server.url, bytes));
    expect([width, height]).to.deep.equal([60, 90]);
    // A quarter turn clockwise: what was left is at the top.
    expect([data[30 + 10 * 60], data[30 + 45 * 60], data[30 + 80 * 60]]).to.deep.equal([0, 1, 2]);
    expect((await sharp(file).metadata()).exif).to.equal(undefined);
    const overlay = await send('segment', server.url, bytes, '?output=overlay');
    const { exif, orientation } = await sharp(Buffer.from(await overlay.arrayBuffer())).metadata();
    expect([orientation ?? 1, exif?.includes('Ada')]).to.deep.equal([1, true]);
  });

  it('segments grey pictures, and transparent ones as they look on white', async () => {
    expect((await maskOf(await send('segment', server.url, await flat(50, 20)))).data).to.have.length(1000);
    const create = { width: 40, height: 40, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } } as const;
    const hidden = await sharp({ create })
      .composite([{ input: { create: { width: 20, height: 40, channels: 4, background: '#00f' } }, left: 20, top: 0 }])
      .png()
      .toBuffer();
    const { data } = await maskOf(await send('segment', server.url, hidden));
    // White has as much of each channel, and the first of equal classes is taken; hidden red would be certain of it.
    expect([data[5], data[35]]).to.deep.equal([0, 2]);
    const overlay = await send('segment', server.url, hidden, '?output=overlay&opacity=0');
    const pixels = await sharp(Buffer.from(await overlay.arrayBuffer()))
      .raw()
      .toBuffer();
    expect([...pixels.subarray(0, 3)]).to.deep.equal([255, 255, 255]);
  });

  it('cuts what is too large for one run into tiles, without a seam', async () => {
    const { data } = await maskOf(await send('segment', server.url, await thirds(24_000, 64).toBuffer()));
    const bounds = [8000, 16_000];
    const wrong = data.filter((id, i) => {
      const x = i % 24_000;
      return id !== Math.floor(x / 8000) && bounds.every((bound) => Math.abs(x - bound) > 3);
    });
    expect([data.length, wrong.length]).to.deep.equal([24_000 * 64, 0]);
  });

  it('refuses queries with the field named', async () => {
    const bytes = await flat(20, 10);
    for (const [query, field] of [
      ['?output=gif', 'output'],
      ['?output=mask&output=json', 'output'],
      ['?opacity=1.5', 'opacity'],
      ['?opacity=-1', 'opacity'],
      ['?opacity=1e-1', 'opacity'],
      ['?opacity=', 'opacity'],
      ['?scale=2', 'scale'],
    ] as const) {
      const { code, message } = await errorOf(await send('segment', server.url, bytes, query), 400);
      expect([code, message.startsWith(`${field}: expected`) || field === 'scale'], query).to.deep.equal([
        'bad-query',
        true,
      ]);
    }
  });

  it('refuses more than 40 megapixels', async () => {
    const { code } = await errorOf(await send('segment', server.url, await flat(8000, 5001)), 413);
    expect(code).to.equal('image-too-large');
  });

  it('says that there is no model for the others, and which', async () => {
    for (const task of ['restore', 'classify'] as const) {
      const { code, message } = await errorOf(await send(task, server.url, await flat(20, 10)), 503);
      expect([code, message.includes(`there is no ${task} model`)]).to.deep.equal(['not-ready', true]);
    }
    expect((await fetch(`${server.url}/health/ready`)).status).to.equal(200);
  });

  it('takes the first frame of an animation, and says so (FETTLE_DATA/photos)', async function () {
    const dir = photosDir();
    if (dir === undefined) return this.skip();
    const bytes = await readFile(join(dir, 'animated.gif'));
    const { pages, width, height } = await sharp(bytes).metadata();
    const response = await send('segment', server.url, bytes);
    const mask = await maskOf(response);
    expect([mask.width, mask.height]).to.deep.equal([width, height]);
    expect(response.headers.get('x-first-frame-of')).to.equal(String(pages));
  });
});

/** Pictures of one height side by side. */
function sideBySide(pictures: readonly Image[]): Image {
  const { width, height } = pictures[0]!;
  const whole = { width: width * pictures.length, height, channels: 3 } as const;
  const data = new Uint8Array(3 * whole.width * height);
  for (const [i, one] of pictures.entries()) {
    for (let y = 0; y < height; y++)
      data.set(one.data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * (y * whole.width + i * width));
  }
  return { ...whole, data };
}

describe('tiles of the segmentation model that is shipped', function () {
  this.timeout(240_000);

  it('give a street panorama the mask of one run: 99.5 % of its pixels at least (FETTLE_DATA/camvid)', async function () {
    const folder = dataFolder('camvid/test');
    if (folder === undefined) return this.skip();
    const store = openStore({ zooDir, storeDir: join(packageRoot, 'no-store') });
    const version = await store.resolve('segment@1');
    const spec = specOf(segmentContract, version.config);
    const session = await openSession(await store.read(version, 'model.onnx'), { threads: 1 });
    const names = (await readdir(folder)).sort();
    const frames = await Promise.all(
      [20, 50, 80, 110, 140, 170, 200, 230].map((i) => decodeRgb(join(folder, names[i]!))),
    );
    const panorama = sideBySide(frames);
    let runs = 0;
    const mask = async (tilePixels: number): Promise<Image> => {
      runs = 0;
      const onProgress = (): void => {
        runs += 1;
      };
      const tiles = { tilePixels, overlap: 256, ramp: 64 };
      return segmentPicture(panorama, spec, probabilitiesOf(session, spec), { tiles, onProgress });
    };
    const whole = await mask(2 ** 30);
    expect(runs).to.equal(1);
    const tiled = await mask(2 ** 18);
    expect(runs).to.be.at.least(2);
    const equal = tiled.data.filter((id, i) => id === whole.data[i]).length;
    await session.release();
    expect(equal / whole.data.length).to.be.at.least(0.995);
    expect(new Set(whole.data).size).to.be.above(5);
  });
});
