import { deflateSync } from 'node:zlib';
import { expect } from 'chai';
import sharp from 'sharp';
import type { ErrorBody } from '../../server/contract.ts';
import { RequestError } from '../../server/errors.ts';
import type { RunningServer } from '../../server/main.ts';
import { cleanExif, insertExif } from '../../server/serve/exif.ts';
import { inspect } from '../../server/serve/images.ts';
import type { PictureTask } from '../../tasks/served.ts';
import { createRng, type Rng } from '../../training/core/rng.ts';
import { pngChunk } from '../../training/pictures/png.ts';
import { wavyImage } from '../helpers/photos.ts';
import { type Bench, createBench, identityModel, send, smallModels } from './harness.ts';

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

const tasks = Object.keys(smallModels) as PictureTask[];

describe('server: damaged uploads', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publish(identityModel());
    for (const task of tasks.slice(1)) await bench.publishFor(task);
    server = await bench.start();
  });
  after(() => bench.end());

  /** Status of one route, whose answer must be whole or state what is wrong. */
  async function statusOf(task: PictureTask, bytes: Uint8Array): Promise<number> {
    const response = await send(task, server.url, bytes);
    const body = Buffer.from(await response.arrayBuffer());
    if (response.status !== 200) {
      const { error } = JSON.parse(body.toString()) as ErrorBody;
      expect(response.status, error.message).to.be.within(400, 499);
      expect(error.message).to.match(/^image: expected|^expected/);
    } else if (task !== 'classify') await sharp(body, { failOn: 'warning' }).stats();
    return response.status;
  }

  for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const) {
    it(`${format}: 40 mutants are worked on by every route, or refused with a reason by every route, never a 5xx`, async () => {
      const raw = { width: 40, height: 30, channels: 3 } as const;
      const exif = { IFD0: { Artist: 'Ada' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '41/1 24/1 12/1' } };
      const whole = await sharp(wavyImage(40, 30, 2).data, { raw })
        .withExif(exif)
        [format]()
        .toBuffer();
      const rng = createRng('mutants', format);
      const seen = new Set<number>();
      for (let round = 0; round < 40; round++) {
        const bytes = mutate(whole, rng);
        const statuses = await Promise.all(tasks.map((task) => statusOf(task, bytes)));
        expect(new Set(statuses).size, `round ${round}: ${statuses}`).to.equal(1);
        seen.add(statuses[0]!);
      }
      expect([...seen].some((status) => status !== 200)).to.equal(true);
      for (const task of tasks) expect(await statusOf(task, whole)).to.equal(200);
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

describe('server: text in PNG files', () => {
  const png = async (...chunks: readonly Uint8Array[]): Promise<Buffer> => {
    const plain = await sharp({ create: { width: 2, height: 2, channels: 3, background: '#123' } })
      .png()
      .toBuffer();
    return Buffer.concat([plain.subarray(0, 33), ...chunks, plain.subarray(33)]);
  };
  const verdict = async (file: Buffer): Promise<string> =>
    inspect(file).then(
      ({ width }) => `ok ${width}`,
      (error: unknown) => (error instanceof RequestError ? `${error.status} ${error.code}` : String(error)),
    );
  const zeros = (megabytes: number): Buffer => deflateSync(Buffer.alloc(megabytes * 2 ** 20));
  const zTXt = (megabytes: number): Uint8Array =>
    pngChunk('zTXt', Buffer.concat([Buffer.from('Comment\0\0'), zeros(megabytes)]));
  const iTXt = (megabytes: number): Uint8Array =>
    pngChunk('iTXt', Buffer.concat([Buffer.from('Comment\0\x01\0en\0\0'), zeros(megabytes)]));

  it('may inflate to 8 MiB together and come in 1000 pieces', async () => {
    const refused = '413 too-much-metadata';
    expect(await verdict(await png(zTXt(3), iTXt(3)))).to.equal('ok 2');
    expect(await verdict(await png(zTXt(9)))).to.equal(refused);
    expect(await verdict(await png(iTXt(9)))).to.equal(refused);
    expect(await verdict(await png(zTXt(3), iTXt(3), zTXt(3)))).to.equal(refused);
    const piece = pngChunk('tEXt', Buffer.from('Comment\0x'));
    expect(await verdict(await png(...Array.from({ length: 900 }, () => piece)))).to.equal('ok 2');
    expect(await verdict(await png(...Array.from({ length: 1001 }, () => piece)))).to.equal(refused);
    expect(
      await verdict(await png(...Array.from({ length: 70_000 }, () => pngChunk('tIME', Buffer.alloc(0))))),
    ).to.equal(refused);
  });
});
