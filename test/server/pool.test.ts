import { expect } from 'chai';
import sharp from 'sharp';
import { RequestError } from '../../server/errors.ts';
import { inspect } from '../../server/serve/images.ts';
import { createPicturePool, type PicturePool, type Progress } from '../../server/serve/pictures.ts';
import type { FileResult, PictureFile, PictureJob, PictureResult } from '../../server/serve/task.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';
import { brightestChannel, flat, until } from './harness.ts';

describe('server: pool of workers', function () {
  this.timeout(60_000);
  let pool: PicturePool;
  beforeEach(async () => {
    const { model, spec } = tinyRestoreModel();
    pool = createPicturePool({ workers: 1, log: { warn: () => undefined } });
    await pool.load({ task: 'restore', key: 'restore@1', model, spec });
    await pool.load({ task: 'segment', key: 'segment@1', ...brightestChannel() });
  });
  afterEach(() => pool.close());

  async function jobOf(key: string, bytes: Uint8Array, query: object): Promise<PictureJob> {
    const image: PictureFile = { bytes, info: await inspect(bytes) };
    return { key, ...image, files: { image }, query };
  }

  /** 2048 x 1536 pixels: 20 tiles. */
  const job = async (): Promise<PictureJob> => {
    const create = { width: 2048, height: 1536, channels: 3, background: '#456' } as const;
    const bytes = await sharp({ create }).png().toBuffer();
    return jobOf('restore@1', bytes, { scale: 1, quality: 90, metadata: 'keep' });
  };

  /** 60 000 x 64 pixels as large as they are for the net: 16 tiles. */
  const strip = async (): Promise<PictureJob> => {
    const bytes = await flat(60_000, 64);
    return jobOf('segment@1', bytes, { output: 'mask', opacity: 0.5 });
  };

  const codeOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'done',
      (error: unknown) => (error instanceof RequestError ? error.code : String(error)),
    );

  /** Cancels the first of two jobs at its first tile. */
  async function cancelFirst(makeJob: () => Promise<PictureJob>): Promise<void> {
    const controller = new AbortController();
    const seen: number[] = [];
    let total = 0;
    const onEvent = (progress: Progress): void => {
      seen.push(progress.done);
      total = progress.total;
      controller.abort();
    };
    const first = pool.run(await makeJob(), { signal: controller.signal, onEvent });
    const second = pool.run(await makeJob());
    expect(await codeOf(first)).to.equal('cancelled');
    expect(await codeOf(second)).to.equal('done');
    expect(total).to.be.at.least(8);
    expect(Math.max(...seen)).to.be.below(total / 2);
  }

  it('stops between two tiles when asked to, and continues with the next job', () => cancelFirst(job));

  it('stops between two tiles of a mask too', () => cancelFirst(strip));

  it('takes a job that is cancelled while it waits out of the queue', async () => {
    const controller = new AbortController();
    const running = pool.run(await job());
    let progressed = false;
    const onEvent = (): void => {
      progressed = true;
    };
    const waiting = pool.run(await job(), { signal: controller.signal, onEvent });
    controller.abort();
    expect(await codeOf(waiting)).to.equal('cancelled');
    await running;
    await pool.run(await job());
    expect(progressed).to.equal(false);
  });

  it('never starts a job whose signal was aborted before', async () => {
    expect(await codeOf(pool.run(await job(), { signal: AbortSignal.abort() }))).to.equal('cancelled');
    expect(((await pool.run(await job())) as PictureResult as FileResult).height).to.equal(1536);
  });

  it('rejects what waits and runs when it is closed', async () => {
    const jobs = [await job(), await job()].map((one) => codeOf(pool.run(one)));
    await until(() => pool.isUsing('restore@1'));
    await pool.close();
    const codes = [...(await Promise.all(jobs)), await codeOf(pool.run(await job()))];
    expect(codes).to.deep.equal(['draining', 'draining', 'draining']);
  });

  it('refuses what waits for a thread that dies whenever it loads the model, until one lives', async () => {
    const workerScript = new URL('./dying-worker.js', import.meta.url);
    const dying = createPicturePool({ workers: 1, log: { warn: () => undefined }, workerScript });
    const { model, spec } = tinyRestoreModel();
    const whole = model.slice();
    await dying.load({ task: 'restore', key: 'restore@1', model, spec });
    model.fill(13);
    const small = await flat(40, 30);
    const query = { scale: 1, quality: 90, metadata: 'keep' };
    expect(await codeOf(dying.run(await jobOf('restore@1', small, { ...query, quality: 13 })))).to.match(/worker died/);
    for (let i = 0; i < 3; i++) {
      expect(await codeOf(dying.run(await jobOf('restore@1', small, query)))).to.equal('not-ready');
    }
    model.set(whole);
    await until(async () => (await codeOf(dying.run(await jobOf('restore@1', small, query)))) === 'done');
    await dying.close();
  });
});
