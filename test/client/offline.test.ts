import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { clientDir } from '../../server/store/paths.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { meanColour } from '../server/harness.ts';
import {
  eventually,
  makeStore,
  outcome,
  restoreIn,
  startTestServer,
  type TestServer,
  type TestStore,
  testPhoto,
  watchFaults,
  workIn,
} from './setup.ts';

/** A copy of the built page whose build can be changed; the assets are the built ones. */
async function copyPage(): Promise<string> {
  const to = await mkdtemp(join(tmpdir(), 'fettle-page-'));
  await symlink(join(clientDir, 'assets'), join(to, 'assets'));
  for (const file of ['index.html', 'segment.html', 'classify.html', 'write.html', 'sw.js'])
    await copyFile(join(clientDir, file), join(to, file));
  return to;
}

/** Makes `page` another build: its service worker is another file, and names its cache otherwise. */
async function rebuild(pageDir: string): Promise<void> {
  const file = join(pageDir, 'sw.js');
  const code = await readFile(file, 'utf8');
  const hash = /"[0-9a-f]{16}"/;
  expect(code).to.match(hash);
  await writeFile(file, code.replace(hash, '"next"'));
}

const noBrowser = whyNoBrowser();

const cacheNames = (page: Page): Promise<string[]> => page.evaluate('caches.keys()');

/** The versions that caches hold (their names continue with the hash of the files), each with the number of its files. */
const keptModels = (page: Page): Promise<Record<string, number>> =>
  page.evaluate(`(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith('fettle-model-'));
    const sizes = names.map(async (name) => [/model-(.+@\\d+)-[0-9a-f]{12}/.exec(name)[1], (await (await caches.open(name)).keys()).length]);
    return Object.fromEntries(await Promise.all(sizes));
  })()`);

(noBrowser === undefined ? describe : describe.skip)(`page without its server ${noBrowser ?? ''}`, () => {
  let store: TestStore;
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let faults: readonly string[];
  let photo: Buffer;
  let pageDir: string;

  before(async () => {
    store = await makeStore();
    pageDir = await copyPage();
    [server, browser, photo] = await Promise.all([startTestServer(store.dir, 0, pageDir), openBrowser(), testPhoto()]);
    page = await browser.context.newPage();
    faults = await watchFaults(page);
    await page.goto(server.url);
    await page.getByText('Works offline').waitFor();
  });

  after(async () => {
    await browser?.close();
    await server?.kill();
    await store?.remove();
    await rm(pageDir, { recursive: true, force: true });
  });

  it('keeps the page, the runtime and the model once it is idle', async () => {
    expect(await keptModels(page)).to.deep.equal({ 'restore@1': 1 });
    const names = await cacheNames(page);
    expect(names.filter((name) => name.startsWith('fettle-page-'))).to.have.lengthOf(1);
    expect(names).to.include.members(['fettle-runtime', 'fettle-models']);
  });

  it('replaces what it keeps of an old build, and only that', async () => {
    const others = (await cacheNames(page)).filter((name) => !name.startsWith('fettle-page-'));
    await rebuild(pageDir);
    await page.reload();
    await eventually('only the new page is kept', async () => {
      const pages = (await cacheNames(page)).filter((name) => name.startsWith('fettle-page-'));
      return pages.join() === 'fettle-page-next';
    });
    expect(await cacheNames(page)).to.include.members(others);
    await page.getByText('Works offline').waitFor();
  });

  it('takes over when the server hangs', async () => {
    server.signal('SIGSTOP');
    const place = await restoreIn(page, photo);
    server.signal('SIGCONT');
    expect(place).to.contain('Restored on this device');
    expect(await page.locator('#reasons').textContent()).to.contain('the server could not be reached');
  });

  it('takes over within seconds when the server is killed mid-request', async () => {
    await page.goto(server.url);
    server.signal('SIGSTOP'); // it accepts the connection and never answers
    const sent = page.waitForRequest(/\/v1\/restore/);
    await page.locator('#file').setInputFiles({ name: 'photo.png', mimeType: 'image/png', buffer: photo });
    await sent;
    expect(await page.getAttribute('main', 'data-state')).to.equal('busy');
    const killed = Date.now();
    await server.kill();
    expect(await outcome(page)).to.contain('Restored on this device');
    expect(Date.now() - killed).to.be.below(15_000);
  });

  it('comes up again without the server, and restores', async () => {
    await server.kill();
    await page.reload();
    await page.getByText('Works offline').waitFor();
    expect(await page.evaluate('crossOriginIsolated'), 'kept responses keep their headers').to.equal(true);
    expect(await restoreIn(page, photo)).to.match(/Restored on this device \(WebAssembly.*restore@1/);
  });

  it('uses the server again when it is back, and keeps the model that serves now', async () => {
    await server.kill();
    await store.add(2);
    server = await startTestServer(store.dir, Number(new URL(server.url).port), pageDir);
    await page.reload();
    expect(await restoreIn(page, photo)).to.contain('Restored by the server with restore@2');
    const onlyNew = async (): Promise<boolean> => Object.keys(await keptModels(page)).join() === 'restore@2';
    await eventually('only the new model is kept', onlyNew);
    expect(await keptModels(page)).to.deep.equal({ 'restore@2': 1 });
    await server.kill();
    await page.reload();
    expect(await restoreIn(page, photo)).to.match(/Restored on this device.*restore@2/);
  });

  it('keeps the models of the pages that were here, and each works without the server', async () => {
    const { model, spec } = meanColour();
    await store.publish({ task: 'classify', files: { 'model.onnx': model, 'card.md': '# Tiny\n' }, classify: spec });
    server = await startTestServer(store.dir, Number(new URL(server.url).port), pageDir);
    await page.goto(`${server.url}/classify`);
    await page.getByText('Works offline').waitFor();
    expect(await keptModels(page)).to.deep.equal({ 'classify@1': 1, 'restore@2': 1 });
    await server.kill();
    await page.reload();
    expect(await workIn(page, photo, 'photo.png')).to.match(/Classified on this device.*classify@1/);
    await page.getByRole('link', { name: 'Restore' }).click();
    expect(await restoreIn(page, photo)).to.match(/Restored on this device.*restore@2/);
  });

  it('breaks neither the content security policy nor anything else', () => {
    expect(faults).to.deep.equal([]);
  });
});
