import { expect } from 'chai';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import type { ClassifyBody } from '../../tasks/classify/contract.ts';
import { type ClassifyNetConfig, classifyNet, exportClassify } from '../../tasks/classify/net.ts';
import { createRng } from '../../training/core/rng.ts';
import { createScope, initialWeights } from '../../training/nn/scope.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { imagenetStatistics } from '../../training/pictures/transforms/normalise.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import {
  eventually,
  makeStore,
  startTestServer,
  type TestServer,
  type TestStore,
  testPhoto,
  watchFaults,
  workIn,
} from './setup.ts';

const noBrowser = whyNoBrowser();
const names = ['apple', 'pear', 'quince', 'medlar', 'plum', 'sloe', 'cherry'];

/** A small convolutional net with random weights: it knows nothing, and predicts the same everywhere. */
async function publishTiny(store: TestStore): Promise<void> {
  const config: ClassifyNetConfig = {
    encoder: { kind: 'small', widths: [4, 6, 8], depths: [1, 2, 1] },
    head: { hidden: [16] },
    classes: names.length,
    normalisation: imagenetStatistics,
  };
  const facts = { width: 48, height: 40, resize: 'crop', classes: names } as const;
  const scope = createScope(new Graph('classify'), { training: false });
  classifyNet(scope, scope.graph.input('image', 'float32', [1, 3, 40, 48]), config);
  const rng = createRng(1);
  const stir = (values: Float32Array): Float32Array => values.map((value) => value + 0.1 * rng.normal());
  const weights = [...initialWeights(scope.specs, 1)].map(([name, values]) => {
    return [name, name.endsWith('running_var') ? values : stir(values)] as const;
  });
  const { model, spec } = exportClassify(config, new Map(weights), facts);
  await store.publish({ task: 'classify', files: { 'model.onnx': model, 'card.md': '# Tiny\n' }, classify: spec });
}

(noBrowser === undefined ? describe : describe.skip)(`classification page in Chromium ${noBrowser ?? ''}`, function () {
  this.timeout(600_000);
  let store: TestStore;
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let faults: readonly string[];
  let photo: Buffer;

  before(async () => {
    store = await makeStore();
    [server, browser, photo] = await Promise.all([
      startTestServer(store.dir),
      openBrowser({ serviceWorkers: false }),
      testPhoto(131, 90),
    ]);
    page = await browser.context.newPage();
    faults = await watchFaults(page);
  });

  after(async () => {
    await browser?.close();
    await server?.kill();
    await store?.remove();
  });

  const open = (query = ''): Promise<unknown> => page.goto(`${server.url}/classify${query}`);

  async function fromServer(): Promise<ClassifyBody['labels']> {
    const body = new FormData();
    body.append('image', new Blob([new Uint8Array(photo)]), 'photo.png');
    const response = await fetch(`${server.url}/v1/classify`, { method: 'POST', body });
    expect(response.status).to.equal(200);
    return ((await response.json()) as ClassifyBody).labels;
  }

  /** The labels on the page with their probabilities, from the most likely one on. */
  async function shown(): Promise<{ label: string; percent: number }[]> {
    const labels = [page.locator('#likeliest strong'), page.locator('#bars .name')];
    const texts = (await Promise.all(labels.map((one) => one.allTextContents()))).flat();
    const shares = await page.locator('.labels .share').allTextContents();
    return texts.map((label, i) => ({ label, percent: Number.parseFloat(shares[i]!.replace('< ', '')) }));
  }

  it('explains how to get a model while there is none', async () => {
    await open();
    await page.waitForSelector('main[data-state=none]');
    expect(await page.locator('#train').innerText()).to.contain('npx fettle retrain classify --data photos');
    expect(await page.locator('#drop').isVisible()).to.equal(false);
    await publishTiny(store);
    await page.waitForTimeout(500); // the server looks ten times a second
    await page.reload();
    await page.locator('#model', { hasText: 'classify@1' }).waitFor();
    expect(await page.locator('#drop').isVisible()).to.equal(true);
  });

  it('shows the most likely label and the others, as the server says', async () => {
    await open();
    expect(await workIn(page, photo, 'photo.png')).to.match(/^Classified by the server with classify@1/);
    const [found, wanted] = [await shown(), await fromServer()];
    expect(found.map(({ label }) => label)).to.deep.equal(wanted.map(({ label }) => label));
    expect(found).to.have.lengthOf(5);
    expect(wanted[0]!.probability, 'the model is not sure of everything').to.be.below(0.95);
    for (const [i, { percent }] of found.entries()) expect(percent).to.be.closeTo(100 * wanted[i]!.probability, 0.51);
  });

  for (const [device, name] of Object.entries({ wasm: 'WebAssembly', webgl: 'WebGL', webgpu: 'WebGPU' })) {
    it(`names the same on this device with ${name}`, async () => {
      await open(`?device=${device}`);
      expect(await workIn(page, photo, 'photo.png')).to.contain(`Classified on this device (${name}`);
      const [found, wanted] = [await shown(), await fromServer()];
      expect(found.map(({ label }) => label)).to.deep.equal(wanted.map(({ label }) => label));
      for (const [i, { percent }] of found.entries()) expect(percent).to.be.closeTo(100 * wanted[i]!.probability, 0.51);
    });
  }

  it('asks phones for their camera', async () => {
    const input = page.locator('#camera');
    expect(await input.getAttribute('capture')).to.equal('environment');
    await open();
    const other = await sharp(photo).jpeg().toBuffer();
    await input.setInputFiles({ name: 'image.jpg', mimeType: 'image/jpeg', buffer: other });
    await page.waitForSelector('main[data-state=done]');
    expect(await page.textContent('#place')).to.contain('Classified by the server');
  });

  it('fits a phone: nothing is wider than 360 pixels', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await open();
    await workIn(page, photo, 'photo.png');
    expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(360);
  });

  it('does without the photo where the browser cannot open it', async () => {
    await open();
    await workIn(page, await sharp(photo).tiff().toBuffer(), 'scan.tiff');
    expect(await page.locator('#photo').isVisible()).to.equal(false);
    await page.locator('.actions [data-do=new]').last().click();
    await workIn(page, photo, 'photo.png');
    expect(await page.locator('#photo').isVisible()).to.equal(true);
  });

  it('takes no focus for a photo that was left while it was decoded', async () => {
    await open();
    await page.evaluate(`
      const { decode } = HTMLImageElement.prototype;
      HTMLImageElement.prototype.decode = async function () {
        await new Promise((resolve) => { window.goOn = resolve; });
        return decode.call(this);
      };`);
    await page.locator('#file').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: photo });
    await eventually('decoding', () => page.evaluate('window.goOn !== undefined'));
    await page.locator('.actions [data-do=new]').last().click();
    await page.evaluate('window.goOn(); new Promise((resolve) => setTimeout(resolve, 200))');
    expect(await page.evaluate('document.activeElement.id')).to.equal('file');
    expect(await page.textContent('#status')).to.equal('');
  });

  it('breaks neither the content security policy nor anything else', () => {
    expect(faults).to.deep.equal([]);
  });
});
