import { request } from 'node:http';
import { expect } from 'chai';
import type { HealthBody } from '../../server/contract.ts';
import type { PictureTask } from '../../tasks/served.ts';
import { type Bench, createBench, errorOf, flat, post, send, smallModels, until } from './harness.ts';

describe('server: trouble', function () {
  this.timeout(60_000);
  let bench: Bench;
  let picture: Buffer;
  let large: Buffer;
  before(async () => {
    [picture, large] = await Promise.all([flat(40, 30), flat(4000, 3000)]);
  });
  beforeEach(async () => {
    bench = await createBench();
    await bench.publish();
  });
  afterEach(() => bench.end());

  /** What each task is asked for so that the worker dies, throws out of turn, and dies again. */
  const deaths: Readonly<Record<PictureTask, readonly string[]>> = {
    restore: ['?quality=13', '?quality=14', '?quality=13'],
    segment: ['?opacity=0.13', '?opacity=0.14', '?opacity=0.13'],
    classify: ['?top=13', '?top=14', '?top=13'],
  };

  for (const task of Object.keys(smallModels) as PictureTask[]) {
    it(`replaces a worker that dies; its request fails cleanly and the next ones do not: ${task}`, async () => {
      if (task !== 'restore') await bench.publishFor(task);
      const server = await bench.start({ workerScript: new URL('./dying-worker.js', import.meta.url) });
      for (const query of deaths[task]) {
        const { code, message } = await errorOf(await send(task, server.url, picture, query), 500);
        expect(code).to.equal('internal');
        expect(message).not.to.match(/worker|exit|purpose|13/);
        expect((await send(task, server.url, picture)).status).to.equal(200);
        expect((await post(server.url, picture)).status).to.equal(200);
      }
    });
  }

  it('answers 503 with Retry-After when the queue is full, stays live, and recovers', async () => {
    const server = await bench.start({ capacity: 2 });
    const busy = [post(server.url, large), post(server.url, large)];
    await until(() => server.inFlight() === 2);
    const refused = await post(server.url, picture);
    expect((await errorOf(refused, 503)).code).to.equal('busy');
    expect(Number(refused.headers.get('retry-after'))).to.be.within(1, 60);
    expect((await fetch(`${server.url}/health/live`)).status).to.equal(200);
    for (const response of await Promise.all(busy)) {
      expect(response.status).to.equal(200);
      await response.arrayBuffer();
    }
    expect((await post(server.url, picture)).status).to.equal(200);
  });

  it('stops working for a client that went away, and gives its place back', async () => {
    const server = await bench.start({ capacity: 1 });
    for (let round = 0; round < 3; round++) {
      const controller = new AbortController();
      const gone = post(server.url, large, '', { signal: controller.signal }).then(
        () => 'answered',
        () => 'aborted',
      );
      await until(() => server.inFlight() === 1);
      controller.abort();
      expect(await gone).to.equal('aborted');
      await until(() => server.inFlight() === 0);
      expect((await post(server.url, picture)).status).to.equal(200);
    }
  });

  it('survives uploads that break off', async () => {
    const server = await bench.start({ capacity: 2 });
    const { hostname, port } = new URL(server.url);
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((resolve) => {
        const headers = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': '100000' };
        const upload = request({ hostname, port, method: 'POST', path: '/v1/restore', headers });
        upload.on('error', () => resolve());
        upload.write('--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n', () => {
          upload.destroy();
          resolve();
        });
      });
    }
    await until(() => server.inFlight() === 0);
    expect((await post(server.url, picture)).status).to.equal(200);
  });

  it('close() finishes what is in flight, is not ready meanwhile, and then refuses connections', async () => {
    const server = await bench.start();
    const inFlight = post(server.url, large);
    await until(() => server.inFlight() === 1);
    const closed = server.close();
    const ready = await fetch(`${server.url}/health/ready`);
    expect([ready.status, ((await ready.json()) as HealthBody).reason]).to.deep.equal([503, 'shutting down']);
    expect((await errorOf(await post(server.url, picture), 503)).code).to.equal('draining');
    const response = await inFlight;
    expect([response.status, (await response.arrayBuffer()).byteLength > 1000]).to.deep.equal([200, true]);
    await closed;
    const after = await fetch(`${server.url}/health/live`).catch(() => 'refused');
    expect(after).to.equal('refused');
  });
});
