import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import express from 'express';
import { pino } from 'pino';
import type { Page } from 'playwright-core';
import { createService, type Service } from '../../server/service.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';
import { eventually, makeStore, restoreIn, type TestStore, testPhoto, watchFaults } from './setup.ts';

const noBrowser = whyNoBrowser();

(noBrowser === undefined ? describe : describe.skip)(`pages in another Express app ${noBrowser ?? ''}`, () => {
  let store: TestStore;
  let service: Service;
  let server: Server;
  let browser: Browser;
  let page: Page;
  let faults: readonly string[];
  let photo: Buffer;
  let origin: string;

  before(async () => {
    store = await makeStore();
    const { model, spec } = tinyRestoreModel(2);
    await store.publish({
      task: 'restore',
      name: 'kinder',
      files: { 'model.onnx': model, 'card.md': '#' },
      image: spec,
    });
    const log = pino({ level: 'silent' });
    const storeDir = store.dir;
    service = await createService({ storeDir, zooDir: join(storeDir, 'no-zoo'), log, workers: 1 });
    const app = express();
    app.get('/', (_request, response) => void response.send('the other app'));
    app.use('/photos', service.app);
    server = createServer(app).listen(0, '127.0.0.1');
    [browser, photo] = await Promise.all([openBrowser(), testPhoto()]);
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    page = await browser.context.newPage();
    faults = await watchFaults(page);
  });

  after(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
    await service?.close();
    await store?.remove();
  });

  it('restores through the server, below its path', async () => {
    await page.goto(`${origin}/photos?device=none`);
    expect(page.url()).to.equal(`${origin}/photos/?device=none`);
    expect(await restoreIn(page, photo)).to.contain('Restored by the server with restore@1');
  });

  it('links to the other pages there', async () => {
    await page.getByRole('link', { name: 'Segment' }).click();
    expect(page.url()).to.equal(`${origin}/photos/segment`);
    expect(await page.locator('#models').isVisible(), 'nothing to choose between').to.equal(false);
    await page.getByRole('link', { name: 'Restore' }).click();
    expect(page.url()).to.equal(`${origin}/photos/`);
  });

  it('offers the models of the task, and asks the one that is chosen', async () => {
    await page.getByRole('combobox', { name: 'Model' }).selectOption('kinder');
    expect(page.url()).to.equal(`${origin}/photos/?model=kinder`);
    expect(await page.textContent('#model')).to.contain('kinder@1');
    expect(await restoreIn(page, photo)).to.contain('Restored by the server with kinder@1');
    await page.locator('label', { hasText: 'On this device' }).click();
    expect(await restoreIn(page, photo)).to.match(/Restored on this device.*kinder@1/);
  });

  it('works offline, with the model of its address', async () => {
    const names = (): Promise<string[]> => page.evaluate('caches.keys()');
    await eventually('the chosen model is kept', async () =>
      (await names()).some((name) => name.startsWith('fettle/photos/model-kinder@1')),
    );
    expect((await names()).filter((name) => !name.startsWith('fettle/photos/'))).to.deep.equal([]);
    server.closeAllConnections();
    server.close();
    await page.reload();
    await page.getByText('Works offline').waitFor();
    expect(await page.evaluate('crossOriginIsolated')).to.equal(true);
    expect(await restoreIn(page, photo)).to.match(/Restored on this device.*kinder@1/);
  });

  it('breaks neither the content security policy nor anything else', () => {
    expect(faults).to.deep.equal([]);
  });
});
