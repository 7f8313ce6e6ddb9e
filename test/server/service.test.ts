import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import type { HealthBody, ModelsBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';
import { type Bench, createBench, errorOf, flat, post, register, until } from './harness.ts';

describe('server: routes', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  let small: Buffer;
  before(async () => {
    bench = await createBench();
    const page = join(bench.dir, 'page');
    await mkdir(join(page, 'assets'), { recursive: true });
    await writeFile(join(page, 'index.html'), '<!doctype html><title>page</title>');
    await writeFile(join(page, 'sw.js'), '// worker');
    await writeFile(join(page, 'assets', 'main-abc123.js'), 'export {};');
    await bench.publish();
    server = await bench.start({ clientDir: page });
    small = await flat(20, 10);
  });
  after(() => bench.end());

  const get = (path: string): Promise<Response> => fetch(server.url + path);

  it('is live and ready, and says so without caching', async () => {
    for (const path of ['/health/live', '/health/ready']) {
      const response = await get(path);
      expect([response.status, await response.json()]).to.deep.equal([200, { status: 'ok' }]);
      expect(response.headers.get('cache-control')).to.equal('no-store');
    }
  });

  it('lists a model that does not load, is not ready for it, and serves the others', async () => {
    const other = await createBench();
    try {
      await other.publish();
      const config = { name: 'text', createdAt: new Date(0).toISOString(), description: 'for a test', metrics: {} };
      const files = { 'model.onnx': Uint8Array.of(1), 'card.md': '# Text', LICENSE: 'none' };
      await other.store.register('text', files, { ...config, task: 'text' });
      await other.store.use('text', 1);
      const { url } = await other.start();
      const ready = await fetch(`${url}/health/ready`);
      expect(ready.status).to.equal(503);
      expect(((await ready.json()) as HealthBody).reason).to.match(/^text@1 did not load/);
      expect((await post(url, small)).status).to.equal(200);
      const { models } = (await (await fetch(`${url}/v1/models`)).json()) as ModelsBody;
      const told = models.map(({ name, active, inputs }) => [name, active, inputs[0]!.type]);
      expect(told).to.deep.equal([
        ['restore', true, 'image'],
        ['text', false, 'text'],
      ]);
    } finally {
      await other.end();
    }
  });

  it('lists what serves, and gives its files, byte for byte and for ever', async () => {
    const { models } = (await (await get('/v1/models')).json()) as ModelsBody;
    expect(models).to.have.length(1);
    const [model] = models;
    expect({ ...model, files: {}, image: null }).to.deep.equal({
      name: 'restore',
      task: 'restore',
      version: 1,
      description: 'for a test',
      active: true,
      inputs: [{ name: 'image', type: 'image' }],
      card: '# For a test',
      versions: [1],
      files: {},
      image: null,
    });
    expect(model && 'image' in model && model.image).to.deep.equal(tinyRestoreModel().spec);
    const response = await get('/v1/models/restore/1/files/model.onnx');
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.equals(tinyRestoreModel().model)).to.equal(true);
    expect(model?.files['model.onnx']?.sizeBytes).to.equal(bytes.length);
    expect(response.headers.get('cache-control')).to.equal('public, max-age=31536000, immutable');
    expect(response.headers.get('cross-origin-resource-policy')).to.equal('same-origin');
    expect(response.headers.get('etag')).to.equal(`"${model?.files['model.onnx']?.sha256}"`);
  });

  it('gives no other file', async () => {
    for (const path of [
      'restore/1/files/config.json',
      'restore/1/files/..%2F..%2Factive.json',
      'restore/1/files/%2Fetc%2Fpasswd',
      'restore/1/files/constructor',
      'restore/2/files/model.onnx',
      'restore/1e0/files/model.onnx',
      '..%2Fstore/1/files/model.onnx',
    ]) {
      await errorOf(await get(`/v1/models/${path}`), 404);
    }
  });

  it('serves the page: index and service worker fresh, hashed assets for ever, isolated, scripts from here only', async () => {
    const index = await get('/');
    expect([index.status, index.headers.get('cache-control')]).to.deep.equal([200, 'no-cache']);
    expect((await get('/sw.js')).headers.get('cache-control')).to.equal('no-cache');
    expect((await get('/assets/main-abc123.js')).headers.get('cache-control')).to.match(/max-age=31536000, immutable/);
    expect(index.headers.get('cross-origin-opener-policy')).to.equal('same-origin');
    expect(index.headers.get('cross-origin-embedder-policy')).to.equal('require-corp');
    const policy = index.headers.get('content-security-policy') ?? '';
    for (const rule of [
      "script-src 'self' 'wasm-unsafe-eval'",
      "worker-src 'self'",
      "img-src 'self' blob: data:",
      "connect-src 'self'",
    ]) {
      expect(policy.split(';')).to.include(rule);
    }
    expect(policy).not.to.match(/upgrade-insecure-requests|unsafe-inline|'unsafe-eval'/);
    await errorOf(await get('/assets/none.js'), 404);
    await errorOf(await get('/..%2fstore%2frestore%2factive.json'), 404);
  });

  it('refuses queries with the field named', async () => {
    for (const [query, field] of [
      ['?scale=3', 'scale'],
      ['?scale=1&scale=2', 'scale'],
      ['?format=gif', 'format'],
      ['?quality=0', 'quality'],
      ['?quality=101', 'quality'],
      ['?quality=9e1', 'quality'],
      ['?metadata=some', 'metadata'],
      ['?sharpness=3', 'sharpness'],
    ] as const) {
      const { code, message } = await errorOf(await post(server.url, small, query), 400);
      expect([code, message.includes(field)], query).to.deep.equal(['bad-query', true]);
    }
  });

  it('refuses uploads that are not one file in the field image', async () => {
    const send = (body: string | FormData, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${server.url}/v1/restore`, { method: 'POST', body, headers });
    const picture = new Blob([small as Uint8Array<ArrayBuffer>]);
    const form = (...parts: readonly (readonly [string, Blob | string])[]): FormData => {
      const made = new FormData();
      for (const [name, value] of parts) made.append(name, value);
      return made;
    };
    await errorOf(await send('{}', { 'content-type': 'application/json' }), 415);
    await errorOf(await send(form(['picture', picture])), 400);
    await errorOf(await send(form(['image', picture], ['image', picture])), 400);
    await errorOf(await send(form(['image', 'text'])), 400);
    await errorOf(await send(form()), 400);
    await errorOf(await send(form(...Array.from({ length: 50 }, (_, i) => [`f${i}`, 'x'] as const))), 400);
    await errorOf(await send(form([`a${'[b]'.repeat(30)}`, 'x'], ['image', picture])), 400);
    await errorOf(await send('--x\r\nnonsense', { 'content-type': 'multipart/form-data; boundary=x' }), 400);
    await errorOf(await send('', { 'content-type': 'multipart/form-data' }), 400);
    const { code } = await errorOf(await post(server.url, new Uint8Array(40e6 + 1)), 413);
    expect(code).to.equal('file-too-large');
    expect((await post(server.url, small)).status).to.equal(200);
  });

  it('refuses more than 40 megapixels in and 100 out, and sides that a format cannot hold', async () => {
    expect((await errorOf(await post(server.url, await flat(8000, 5001)), 413)).code).to.equal('image-too-large');
    expect((await errorOf(await post(server.url, await flat(2600, 2500), '?scale=4'), 413)).code).to.equal(
      'output-too-large',
    );
    const { message } = await errorOf(await post(server.url, await flat(9000, 3), '?scale=2&format=webp'), 413);
    expect(message).to.match(/format=png/);
  });

  it('takes a harmless request id, and makes its own otherwise', async () => {
    const idFor = async (id: string): Promise<string | null> =>
      (await fetch(`${server.url}/health/live`, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
    expect(await idFor('abc-123')).to.equal('abc-123');
    expect(await idFor('a b')).to.match(/^[0-9a-f-]{36}$/);
    expect(await idFor('x'.repeat(65))).to.match(/^[0-9a-f-]{36}$/);
  });

  it('answers what it does not know with 404 and JSON', async () => {
    expect((await errorOf(await get('/v1/nothing'), 404)).code).to.equal('not-found');
    await errorOf(await fetch(`${server.url}/v1/restore`, { method: 'DELETE' }), 404);
    await errorOf(await get('/v1/models/%E0%A4%A/1/files/card.md'), 400);
  });
});

describe('server: models that come and go', function () {
  this.timeout(60_000);
  let bench: Bench;
  let picture: Buffer;
  before(async () => {
    picture = await flat(40, 30);
  });
  beforeEach(async () => {
    bench = await createBench();
  });
  afterEach(() => bench.end());

  const modelOf = async (server: RunningServer): Promise<string | null> => {
    const response = await post(server.url, picture);
    await response.arrayBuffer();
    return response.headers.get('x-model');
  };

  it('starts without a model, says why it is not ready, and is when one comes', async () => {
    const server = await bench.start();
    const ready = await fetch(`${server.url}/health/ready`);
    const body = (await ready.json()) as HealthBody;
    expect([ready.status, body.status]).to.deep.equal([503, 'unavailable']);
    expect(body.reason).to.match(/no model/);
    const refused = await post(server.url, picture);
    expect((await errorOf(refused, 503)).code).to.equal('not-ready');
    expect(Number(refused.headers.get('retry-after'))).to.be.above(0);
    expect((await fetch(`${server.url}/health/live`)).status).to.equal(200);
    await bench.publish();
    await until(async () => (await fetch(`${server.url}/health/ready`)).status === 200);
    expect(await modelOf(server)).to.equal('restore@1');
  });

  it('follows use and rollback while requests run, none of which fails, each answered by one version', async () => {
    await bench.publish(tinyRestoreModel(1));
    const server = await bench.start({ workers: 2 });
    const byVersion = new Map<string, Set<string>>();
    let stop = false;
    const client = async (): Promise<void> => {
      while (!stop) {
        const response = await post(server.url, picture);
        expect(response.status).to.equal(200);
        const seen = Buffer.from(await response.arrayBuffer()).toString('base64');
        const key = response.headers.get('x-model') ?? '';
        byVersion.set(key, (byVersion.get(key) ?? new Set()).add(seen));
      }
    };
    const clients = [client(), client(), client()];
    for (const seed of [2, 3]) {
      const version = await bench.publish(tinyRestoreModel(seed));
      await until(async () => (await modelOf(server)) === `restore@${version}`);
    }
    expect(await bench.store.rollback('restore')).to.equal(2);
    await until(async () => (await modelOf(server)) === 'restore@2');
    stop = true;
    await Promise.all(clients);
    expect([...byVersion.keys()].sort()).to.deep.equal(['restore@1', 'restore@2', 'restore@3']);
    for (const [key, answers] of byVersion) expect(answers.size, key).to.equal(1);
    expect(new Set([...byVersion.values()].flatMap((answers) => [...answers])).size).to.equal(3);
  });

  it('takes a version back that a long request still uses', async () => {
    await bench.publish(tinyRestoreModel(1));
    const server = await bench.start({ workers: 2 });
    const long = post(server.url, await flat(4000, 3000));
    await until(() => server.inFlight() === 1);
    await bench.publish(tinyRestoreModel(2));
    await until(async () => (await modelOf(server)) === 'restore@2');
    await bench.store.rollback('restore');
    await until(async () => (await modelOf(server)) === 'restore@1');
    const response = await long;
    expect([response.status, response.headers.get('x-model')]).to.deep.equal([200, 'restore@1']);
    await response.arrayBuffer();
    expect(await modelOf(server)).to.equal('restore@1');
  });

  it('keeps the old version when the new one does not load, is damaged or has a broken active.json', async () => {
    await bench.publish();
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line) => void lines.push(line) });
    const server = await bench.start({ log });
    const logged = (text: string): Promise<void> => until(() => lines.some((line) => line.includes(text)));
    const { spec, model } = tinyRestoreModel();
    const broken = await register(bench.store, { model: Uint8Array.of(1, 2, 3), spec });
    const wrongNames = await register(bench.store, { model, spec: { ...spec, outputName: 'other' } });
    const damaged = await register(bench.store, { model, spec });
    const { dir } = await bench.store.resolve(`restore@${damaged}`);
    const bytes = await readFile(join(dir, 'model.onnx'));
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(join(dir, 'model.onnx'), bytes);
    for (const version of [broken, wrongNames, damaged]) {
      await bench.store.use('restore', version);
      await logged(`"model":"restore@${version}"`);
      expect(await modelOf(server)).to.equal('restore@1');
      expect((await fetch(`${server.url}/health/ready`)).status).to.equal(200);
    }
    await writeFile(join(bench.dir, 'store', 'restore', 'active.json'), '{"version":');
    await logged('cannot be read');
    expect(await modelOf(server)).to.equal('restore@1');
    await rm(join(bench.dir, 'store', 'restore', 'active.json'));
    const good = await bench.publish(tinyRestoreModel(9));
    await until(async () => (await modelOf(server)) === `restore@${good}`);
  });

  it('says which model did not load when there is no other, and nothing of the inside', async () => {
    const { spec } = tinyRestoreModel();
    await bench.publish({ model: Uint8Array.of(1, 2, 3), spec });
    const server = await bench.start();
    const { reason } = (await (await fetch(`${server.url}/health/ready`)).json()) as HealthBody;
    expect(reason).to.equal('restore@1 did not load; the log has the reason');
  });
});
