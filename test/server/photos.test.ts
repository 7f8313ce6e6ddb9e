import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import type { ErrorBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import type { ClassifyBody } from '../../tasks/classify/contract.ts';
import type { PictureTask } from '../../tasks/served.ts';
import { readPaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import { type Bench, createBench, photosDir, send } from './harness.ts';

const dir = photosDir();
const photos =
  dir === undefined ? [] : readdirSync(dir).filter((name) => /\.\w+$/.test(name) && name !== 'manifest.json');
const bad = dir === undefined ? [] : readdirSync(join(dir, 'bad'));

/** Bad files whose pixels are whole enough: the first must be read, the second may be. */
const mustRead = ['exif_bad_offset.jpg', 'exif_orientation_99.jpg', 'png_named.jpg'];
const mayRead = ['bitflips.jpg', 'polyglot_html.jpg', 'polyglot_zip.jpg'];

async function expectRefused(response: Response, status?: number): Promise<ErrorBody['error']> {
  const body = (await response.json()) as ErrorBody;
  if (status === undefined) expect(response.status, JSON.stringify(body)).to.be.within(400, 499);
  else expect(response.status, JSON.stringify(body)).to.equal(status);
  expect(body.error.code).to.match(/^[a-z-]+$/);
  expect(body.error.message).to.have.length.within(20, 300);
  expect(body.requestId).to.equal(response.headers.get('x-request-id'));
  return body.error;
}

/** What an answer must be for a picture of that upright size; returns its body. */
type Check = (response: Response, width: number, height: number) => Promise<Buffer>;

const expectPicture: Check = async (response, width, height) => {
  const file = Buffer.from(await response.arrayBuffer());
  const metadata = await sharp(file).metadata();
  expect(response.headers.get('content-type')).to.equal(`image/${metadata.format}`);
  expect([metadata.width, metadata.height, metadata.orientation ?? 1]).to.deep.equal([width, height, 1]);
  expect(metadata.depth).to.equal('uchar');
  await sharp(file, { failOn: 'warning' }).stats();
  return file;
};

const expectMask: Check = async (response, width, height) => {
  const file = await expectPicture(response, width, height);
  const ids = readPaletteIds(file);
  expect(ids?.data.every((id) => id < 3)).to.equal(true);
  const { exif, icc, xmp } = await sharp(file).metadata();
  expect([exif, icc, xmp]).to.deep.equal([undefined, undefined, undefined]);
  return file;
};

const expectLabels: Check = async (response) => {
  const text = await response.text();
  const { labels } = JSON.parse(text) as ClassifyBody;
  expect(labels.reduce((sum, { probability }) => sum + probability, 0)).to.be.closeTo(1, 1e-5);
  return Buffer.from(text);
};

/** The routes that take pictures; all of them read and refuse the same. */
const routes: readonly { readonly task: PictureTask; readonly done: string; readonly check: Check }[] = [
  { task: 'restore', done: 'restored', check: expectPicture },
  { task: 'segment', done: 'segmented', check: expectMask },
  { task: 'classify', done: 'classified', check: expectLabels },
];

async function expectDone(
  { check }: { readonly check: Check },
  response: Response,
  width: number,
  height: number,
): Promise<Buffer> {
  if (response.status !== 200) expect.fail(`${response.status} ${await response.text()}`);
  return check(response, width, height);
}

(dir === undefined ? describe.skip : describe)('server: real photos (FETTLE_DATA/photos)', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    for (const { task } of routes) await bench.publishFor(task);
    server = await bench.start();
  });
  after(() => bench.end());

  const read = (name: string): Buffer => readFileSync(join(dir ?? '', name));

  it('has 31 photos and 31 bad files to try', () => {
    expect([photos.length, bad.length]).to.deep.equal([31, 31]);
  });

  for (const route of routes) {
    for (const name of photos) {
      if (name === 'photo.heic' || name === 'photo.bmp') {
        it(`${route.task}: ${name}: 415 with what to do`, async () => {
          const { message } = await expectRefused(await send(route.task, server.url, read(name)), 415);
          expect(message).to.match(/convert it to JPEG or PNG/);
        });
        continue;
      }
      it(`${name}: ${route.done} upright, at its size`, async () => {
        const { autoOrient, pages } = await sharp(read(name)).metadata();
        const response = await send(route.task, server.url, read(name));
        await expectDone(route, response, autoOrient.width, autoOrient.height);
        expect(response.headers.get('x-model')).to.equal(`${route.task}@1`);
        expect(response.headers.get('server-timing')).to.match(/^queue;dur=[\d.]+, decode;.*model;.*encode;/);
        expect(response.headers.get('x-first-frame-of')).to.equal((pages ?? 1) > 1 ? String(pages) : null);
      });
    }

    for (const name of bad) {
      const verdict = mustRead.includes(name)
        ? route.done
        : mayRead.includes(name)
          ? `${route.done} or refused`
          : 'refused';
      it(`${route.task}: bad/${name}: ${verdict}`, async () => {
        const response = await send(route.task, server.url, read(`bad/${name}`));
        if (response.status !== 200 || ![...mustRead, ...mayRead].includes(name)) {
          if (mustRead.includes(name)) expect.fail(await response.text());
          await expectRefused(response);
          return;
        }
        const { width, height } = await sharp(read(`bad/${name}`)).metadata();
        const body = await expectDone(route, response, width, height);
        for (const foreign of ['<script', '<html', 'PK\u0003\u0004', 'PK\u0005\u0006']) {
          expect(body.includes(Buffer.from(foreign, 'latin1')), foreign).to.equal(false);
        }
      });
    }
  }

  it('is alive, ready and clean after all of that', async () => {
    expect((await fetch(`${server.url}/health/ready`)).status).to.equal(200);
  });
});
