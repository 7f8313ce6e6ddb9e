import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { build } from 'vite';
import { pageConfig } from '../../scripts/repo/pages.ts';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { type RunningServer, startServer } from '../../server/main.ts';
import { openStore } from '../../server/store/store.ts';
import { contracts } from '../../tasks/contracts.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { brightnessContract } from '../helpers/toy-task/contract.ts';
import { servedTasks } from '../helpers/toy-task/served.ts';
import { exportNet, spec } from '../helpers/toy-task/train.node.ts';
import { watchFaults, workIn } from './setup.ts';

const noBrowser = whyNoBrowser();

/** The folder of the task and its row in three tables: nothing else knows it. */
describe('pages of a task that is added', function () {
  this.timeout(600_000);
  let folder: string;
  let outDir: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-toy-'));
    outDir = join(folder, 'dist');
    const folders = { brightness: join(rootDir, 'test', 'helpers', 'toy-task') };
    const config = pageConfig([...contracts, brightnessContract], { root: rootDir, outDir, folders });
    await build({ configFile: false, logLevel: 'error', ...config });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it('has its page, with the parts of all pages', async () => {
    const page = await readFile(join(outDir, 'brightness.html'), 'utf8');
    expect(page).to.contain('<title>fettle: how bright is it?</title>');
    expect(page).to.contain('<a href="./brightness" aria-current="page">Brightness</a>');
    expect(page).to.not.contain('part:');
    const [, source] = /src="\.\/(assets\/brightness-[^"]+\.js)"/.exec(page)!;
    expect(await readFile(join(outDir, source!), 'utf8')).to.contain('/v1/brightness');
  });

  it('is linked by every other page, and its words are known', async () => {
    const files = (await readdir(outDir)).filter((file) => file.endsWith('.html'));
    const names = ['brightness', 'classify', 'index', 'segment', 'write'];
    expect(files.sort()).to.deep.equal(names.map((name) => `${name}.html`));
    for (const file of files) {
      const page = await readFile(join(outDir, file), 'utf8');
      expect(page, file).to.contain('<a href="./brightness"');
      expect(page.match(/aria-current="page"/g), file).to.have.lengthOf(1);
    }
    const assets = (await readdir(join(outDir, 'assets'))).filter(
      (file) => file.startsWith('shell-') && file.endsWith('.js'),
    );
    expect(await readFile(join(outDir, 'assets', assets[0]!), 'utf8')).to.contain('Measuring');
  });

  it('is kept by the service worker', async () => {
    expect(await readFile(join(outDir, 'sw.js'), 'utf8')).to.contain('./brightness');
  });

  describe(`in Chromium ${noBrowser ?? ''}`, () => {
    const colour = { r: 200, g: 100, b: 50 };
    const brightness = ((0.3 * colour.r + 0.6 * colour.g + 0.1 * colour.b) / 255).toFixed(4);
    let server: RunningServer;
    let browser: Browser;
    let page: Page;
    let faults: readonly string[];
    let photo: Buffer;

    before(async function () {
      if (noBrowser !== undefined) this.skip();
      const dirs = { storeDir: join(folder, 'store'), zooDir: join(folder, 'no-zoo') };
      const store = openStore({ ...dirs, tasks: servedTasks.map(({ contract }) => contract) });
      const weights = new Map([
        ['mix.weight', Float32Array.of(0.3, 0.6, 0.1)],
        ['mix.bias', Float32Array.of(0)],
      ]);
      const files = { 'model.onnx': exportNet(weights), 'card.md': '# A toy' };
      const facts = { task: 'brightness', createdAt: new Date(0).toISOString(), description: 'a toy', metrics: {} };
      await store.register('brightness', files, { name: 'brightness', ...facts, brightness: spec });
      await store.use('brightness', 1);
      const tasks = new URL('../helpers/toy-task/served.js', import.meta.url);
      const log = pino({ level: 'silent' });
      server = await startServer({ ...dirs, port: 0, clientDir: outDir, tasks, workers: 1, log });
      browser = await openBrowser();
      photo = await sharp({ create: { width: 40, height: 30, channels: 3, background: colour } })
        .png()
        .toBuffer();
      page = await browser.context.newPage();
      faults = await watchFaults(page);
    });

    after(async () => {
      await browser?.close();
      await server?.close();
    });

    const shown = (): Promise<string | null> => page.textContent('#brightness');

    it('asks the server', async () => {
      await page.goto(`${server.url}/brightness`);
      expect(await workIn(page, photo, 'photo.png')).to.contain('Measured by the server with brightness@1');
      expect(await shown()).to.equal(brightness);
    });

    it('is kept offline, and works on the device while the server is away', async () => {
      await page.getByText('Works offline').waitFor();
      await server.close();
      await page.reload();
      expect(await workIn(page, photo, 'photo.png')).to.match(/Measured on this device.*brightness@1/);
      expect(await page.textContent('#reasons')).to.contain('the server could not be reached');
      expect(await shown()).to.equal(brightness);
      expect(faults).to.deep.equal([]);
    });
  });
});
