import { expect } from 'chai';
import sharp from 'sharp';
import type { ErrorBody } from '../../server/contract.ts';
import { cleanExif, insertExif } from '../../server/exif.ts';
import type { RunningServer } from '../../server/main.ts';
import { createRng, type Rng } from '../../training/core/rng.ts';
import { wavyImage } from '../helpers/photos.ts';
import { type Bench, createBench, identityModel, post } from './harness.ts';

/** A damaged copy: some bytes changed, cut short, or a stretch removed or repeated. */
function mutate(bytes: Buffer, rng: Rng): Buffer {
  const copy = Buffer.from(bytes);
  const at = rng.int(0, copy.length - 1);
  switch (rng.int(0, 3)) {
    case 0:
      for (let i = rng.int(1, 8); i > 0; i--) copy[rng.int(0, copy.length - 1)] = rng.int(0, 255);
      return copy;
    case 1:
      return copy.subarray(0, at);
    case 2:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + rng.int(1, 40)))]);
    default:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.max(0, at - rng.int(1, 40)))]);
  }
}

describe('server: damaged uploads', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publish(identityModel());
    server = await bench.start();
  });
  after(() => bench.end());

  for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const) {
    it(`${format}: 40 mutants are restored or refused with a reason, never a 5xx`, async () => {
      const raw = { width: 40, height: 30, channels: 3 } as const;
      const exif = { IFD0: { Artist: 'Ada' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '41/1 24/1 12/1' } };
      const whole = await sharp(wavyImage(40, 30, 2).data, { raw })
        .withExif(exif)
        [format]()
        .toBuffer();
      const rng = createRng('mutants', format);
      const seen = new Set<number>();
      for (let round = 0; round < 40; round++) {
        const response = await post(server.url, mutate(whole, rng));
        seen.add(response.status);
        if (response.status === 200) {
          await sharp(Buffer.from(await response.arrayBuffer()), { failOn: 'warning' }).stats();
          continue;
        }
        const { error } = (await response.json()) as ErrorBody;
        expect(response.status, `round ${round}: ${error.message}`).to.be.within(400, 499);
        expect(error.message).to.match(/^image: expected|^expected/);
      }
      expect([...seen].some((status) => status !== 200)).to.equal(true);
      expect((await post(server.url, whole)).status).to.equal(200);
    });
  }
});

describe('server: EXIF blocks', () => {
  it('damaged in any way, become a block or nothing, and never an exception', async () => {
    const rng = createRng('exif');
    const tags = { IFD0: { Artist: 'Ada' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '41/1 24/1 12/1' } };
    const create = { width: 8, height: 8, channels: 3, background: '#123' } as const;
    const picture = await sharp({ create }).jpeg().withExif(tags).toBuffer();
    const block = (await sharp(picture).metadata()).exif ?? Buffer.alloc(0);
    expect(block.length).to.be.above(50);
    let kept = 0;
    for (let round = 0; round < 2000; round++) {
      const cleaned = cleanExif(mutate(block, rng), { keepGps: rng.int(0, 1) === 1, width: 8, height: 8 });
      if (cleaned === undefined) continue;
      kept++;
      if (round % 100 === 0) await sharp(insertExif('jpeg', picture, cleaned)).metadata();
    }
    expect(kept).to.be.within(100, 1990);
  });
});
