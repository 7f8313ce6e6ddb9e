import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import type { HealthBody } from '../../server/contract.ts';
import { createService } from '../../server/service.ts';
import { clientDir } from '../../server/store/paths.ts';
import { errorOf, flat, post } from './harness.ts';

const example = fileURLToPath(new URL('../../examples/express.js', import.meta.url));

/** Addresses of what a page loads and links to. */
const addressesIn = (html: string): string[] =>
  [...html.matchAll(/<(?:script|link|img|a)\b[^>]* (?:src|href)="([^"]+)"/g)]
    .map((match) => match[1]!)
    .filter((address) => !/^([a-z]+:|#)/.test(address));

describe('server: mounted in an Express app, examples/express.ts', function () {
  this.timeout(120_000);
  let dir: string;
  let child: ChildProcess;
  let root: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-mount-'));
    child = spawn(process.execPath, [example], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, PORT: '0', FETTLE_STORE: join(dir, 'store') },
    });
    const lines = createInterface(child.stdout!);
    // The log is on stdout too, as JSON.
    for await (const line of lines) {
      if (!line.startsWith('http')) continue;
      root = new URL('..', line).href;
      break;
    }
    child.stdout!.resume();
  });
  after(async () => {
    child.kill();
    await rm(dir, { recursive: true });
  });

  const get = (path: string, init?: RequestInit): Promise<Response> => fetch(new URL(path, root), init);

  it('unknown options are refused', async () => {
    const mistyped = { stores: dir } as Parameters<typeof createService>[0];
    const error = await createService(mistyped).catch((thrown: unknown) => thrown);
    expect(String(error)).to.include('createService').and.to.include('stores');
  });

  it('the app keeps its routes, its 404 and its error handler', async () => {
    expect(await (await get('hello')).text()).to.equal('hello');
    expect((await get('v1/models')).status).to.equal(404);
    const broken = await get('broken');
    expect([broken.status, await broken.text()]).to.deep.equal([500, 'own error handler: broken on purpose']);
  });

  it('is ready, restores a photo and answers its own errors below the path', async () => {
    expect((await (await get('photos/health/ready')).json()) as HealthBody).to.deep.equal({ status: 'ok' });
    const response = await post(`${root}photos`, await flat(60, 40), '?scale=2&format=png');
    expect([response.status, response.headers.get('x-model')]).to.deep.equal([200, 'restore@1']);
    const { width, height } = await sharp(await response.arrayBuffer()).metadata();
    expect([width, height]).to.deep.equal([120, 80]);
    expect((await errorOf(await post(`${root}photos`, Buffer.from('text')), 415)).code).to.equal('unsupported-image');
    expect((await errorOf(await get('photos/v1/nothing'), 404)).code).to.equal('not-found');
  });

  it('serves the pages and all that they load below the path', async () => {
    expect(existsSync(join(clientDir, 'index.html')), 'npm run build makes the pages').to.equal(true);
    const bare = await get('photos?model=a', { redirect: 'manual' });
    expect([bare.status, bare.headers.get('location')]).to.deep.equal([302, 'photos/?model=a']);
    for (const page of ['photos/', 'photos/segment']) {
      const response = await get(page);
      expect(response.status, page).to.equal(200);
      const found = addressesIn(await response.text());
      expect(found.length).to.be.above(5);
      for (const address of found) {
        const url = new URL(address, response.url);
        expect(url.pathname, address).to.match(/^\/photos\//);
        const part = await fetch(url);
        expect(part.status, url.href).to.equal(200);
        await part.arrayBuffer();
      }
    }
    const sw = await get('photos/sw.js');
    expect(await sw.text()).to.equal(await readFile(join(clientDir, 'sw.js'), 'utf8'));
  });

  it('ends with the app', async () => {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    expect((await exit)[0]).to.equal(0);
  });
});
