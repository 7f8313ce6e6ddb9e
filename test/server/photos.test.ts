import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import type { ErrorBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import { type Bench, createBench, photosDir, post } from './harness.ts';

const dir = photosDir();
const photos =
  dir === undefined ? [] : readdirSync(dir).filter((name) => /\.\w+$/.test(name) && name !== 'manifest.json');
const bad = dir === undefined ? [] : readdirSync(join(dir, 'bad'));

/** Bad files whose pixels are whole enough: the first must be restored, the second may be. */
const mustRestore = ['exif_bad_offset.jpg', 'exif_orientation_99.jpg', 'png_named.jpg'];
const mayRestore = ['bitflips.jpg', 'polyglot_html.jpg', 'polyglot_zip.jpg'];

async function expectRefused(response: Response, status?: number): Promise<ErrorBody['error']> {
  const body = (await response.json()) as ErrorBody;
  if (status === undefined) expect(response.status, JSON.stringify(body)).to.be.within(400, 499);
  else expect(response.status, JSON.stringify(body)).to.equal(status);
  expect(body.error.code).to.match(/^[a-z-]+$/);
  expect(body.error.message).to.have.length.within(20, 300);
  expect(body.requestId).to.equal(response.headers.get('x-request-id'));
  return body.error;
}

async function expectPicture(response: Response, width: number, height: number): Promise<Buffer> {
  if (response.status !== 200) expect.fail(`${response.status} ${await response.text()}`);
  const file = Buffer.from(await response.arrayBuffer());
  const metadata = await sharp(file).metadata();
  expect(response.headers.get('content-type')).to.equal(`image/${metadata.format}`);
  expect([metadata.width, metadata.height, metadata.orientation ?? 1]).to.deep.equal([width, height, 1]);
  expect(metadata.depth).to.equal('uchar');
  await sharp(file, { failOn: 'warning' }).stats();
  return file;
}

(dir === undefined ? describe.skip : describe)('server: real photos (FETTLE_DATA/photos)', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publish();
    server = await bench.start();
  });
  after(() => bench.end());

  const read = (name: string): Buffer => readFileSync(join(dir ?? '', name));

  it('has 31 photos and 31 bad files to try', () => {
    expect([photos.length, bad.length]).to.deep.equal([31, 31]);
  });

  for (const name of photos) {
    if (name === 'photo.heic' || name === 'photo.bmp') {
      it(`${name}: 415 with what to do`, async () => {
        const { message } = await expectRefused(await post(server.url, read(name)), 415);
        expect(message).to.match(/convert it to JPEG or PNG/);
      });
      continue;
    }
    it(`${name}: restored upright, at its size`, async () => {
      const { autoOrient, pages } = await sharp(read(name)).metadata();
      const response = await post(server.url, read(name));
      await expectPicture(response, autoOrient.width, autoOrient.height);
      expect(response.headers.get('x-model')).to.equal('restore@1');
      expect(response.headers.get('server-timing')).to.match(/^queue;dur=[\d.]+, decode;.*model;.*encode;/);
      expect(response.headers.get('x-first-frame-of')).to.equal((pages ?? 1) > 1 ? String(pages) : null);
    });
  }

  for (const name of bad) {
    it(`bad/${name}: ${mustRestore.includes(name) ? 'restored' : mayRestore.includes(name) ? 'restored or refused' : 'refused'}`, async () => {
      const response = await post(server.url, read(`bad/${name}`));
      if (response.status !== 200 || ![...mustRestore, ...mayRestore].includes(name)) {
        if (mustRestore.includes(name)) expect.fail(await response.text());
        await expectRefused(response);
        return;
      }
      const { width, height } = await sharp(read(`bad/${name}`)).metadata();
      const file = await expectPicture(response, width, height);
      for (const foreign of ['<script', '<html', 'PK\u0003\u0004', 'PK\u0005\u0006']) {
        expect(file.includes(Buffer.from(foreign, 'latin1')), foreign).to.equal(false);
      }
    });
  }

  it('is alive, ready and clean after all of that', async () => {
    expect((await fetch(`${server.url}/health/ready`)).status).to.equal(200);
  });
});
