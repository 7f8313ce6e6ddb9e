import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { rootDir } from '../../scripts/repo/source-files.ts';
import type { ConfigOf } from '../../tasks/config.ts';
import type { SegmentBody, segmentContract } from '../../tasks/segment/contract.ts';
import { readPaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { dataFolder } from '../helpers/data.ts';
import {
  downloaded,
  makeStore,
  outcome,
  startTestServer,
  type TestServer,
  type TestStore,
  testPhoto,
  watchFaults,
  workIn,
} from './setup.ts';

const noBrowser = whyNoBrowser();
const zoo = join(rootDir, 'models', 'zoo', 'segment', '1');

interface Photo {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The sample photo of the page at an odd size, and frames of CamVid's test part where they are. */
async function photos(): Promise<Photo[]> {
  const sample = sharp(join(rootDir, 'tasks', 'restore', 'sample.jpg')).resize(291, 215, { fit: 'fill' });
  const own = { name: 'sample.png', bytes: await sample.png().toBuffer() };
  const data = dataFolder('camvid');
  if (data === undefined) {
    console.log('    skipped, frames of CamVid: FETTLE_DATA/camvid is not there');
    return [own];
  }
  const names = (await readFile(join(data, 'test.txt'), 'utf8')).trim().split('\n');
  const frames = [names[20]!, names[120]!].map(async (line) => {
    const path = line.split(' ')[0]!;
    return { name: path.split('/').at(-1)!, bytes: await readFile(join(data, path)) };
  });
  return [own, ...(await Promise.all(frames))];
}

/** The version that we ship, in the store of the test. */
async function publishShipped(store: TestStore): Promise<void> {
  const { segment } = JSON.parse(await readFile(join(zoo, 'config.json'), 'utf8')) as ConfigOf<typeof segmentContract>;
  const files = { 'model.onnx': await readFile(join(zoo, 'model.onnx')), 'card.md': '# Shipped\n' };
  await store.publish({ task: 'segment', files, segment: segment });
}

/** The colours of a palette PNG. */
function paletteOf(png: Uint8Array): Buffer {
  const bytes = Buffer.from(png);
  const at = bytes.indexOf('PLTE');
  return bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at - 4));
}

(noBrowser === undefined ? describe : describe.skip)(`segmentation page in Chromium ${noBrowser ?? ''}`, function () {
  this.timeout(600_000);
  let store: TestStore;
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let faults: readonly string[];

  before(async () => {
    store = await makeStore();
    await publishShipped(store);
    [server, browser] = await Promise.all([startTestServer(store.dir), openBrowser({ serviceWorkers: false })]);
    page = await browser.context.newPage();
    faults = await watchFaults(page);
  });

  after(async () => {
    await browser?.close();
    await server?.kill();
    await store?.remove();
  });

  const open = (query = ''): Promise<unknown> => page.goto(`${server.url}/segment${query}`);

  async function fromServer(photo: Photo, output: 'mask' | 'json'): Promise<Response> {
    const body = new FormData();
    body.append('image', new Blob([new Uint8Array(photo.bytes)]), photo.name);
    const response = await fetch(`${server.url}/v1/segment?output=${output}`, { method: 'POST', body });
    expect(response.status).to.equal(200);
    return response;
  }
  const serverMask = async (photo: Photo): Promise<Uint8Array> =>
    new Uint8Array(await (await fromServer(photo, 'mask')).arrayBuffer());

  const legend = async (): Promise<{ name: string; share: string }[]> => {
    const [names, shares] = [page.locator('.legend .name'), page.locator('.legend .share')];
    const [a, b] = [await names.allTextContents(), await shares.allTextContents()];
    return a.map((name, i) => ({ name, share: b[i]! }));
  };

  it('shows what the server says: names, shares and the mask, byte for byte its ids and colours', async () => {
    const [photo] = await photos();
    await open();
    await page.locator('#model', { hasText: 'segment@1: for tests.' }).waitFor();
    expect(await workIn(page, photo!.bytes, photo!.name)).to.match(/^Segmented by the server with segment@1/);
    const { classes } = (await (await fromServer(photo!, 'json')).json()) as SegmentBody;
    const present = classes.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
    const entries = await legend();
    expect(entries.map(({ name }) => name)).to.deep.equal(present.map(({ name }) => name));
    expect(Number.parseFloat(entries[0]!.share)).to.be.closeTo(100 * present[0]!.share, 0.51);
    const absent = classes.filter(({ share }) => share === 0).map(({ name }) => name);
    expect(await page.textContent('#absent')).to.contain(absent.join(', '));
    const [found, wanted] = [await downloaded(page, '#save-mask'), await serverMask(photo!)];
    expect(readPaletteIds(found)).to.deep.equal(readPaletteIds(wanted));
    expect(paletteOf(found)).to.deep.equal(paletteOf(wanted));
  });

  it('changes the opacity, and highlights classes by pointer and keyboard, without asking the server', async () => {
    const asked: string[] = [];
    page.on('request', (request) => request.url().startsWith('http') && asked.push(request.url()));
    const view = page.locator('.view');
    const look = async (): Promise<string> => (await view.screenshot()).toString('base64');
    const before = await look();
    await page.locator('#opacity').fill('0');
    const bare = await look();
    expect(bare, 'without colours').to.not.equal(before);
    const entry = page.locator('.legend button').first();
    await entry.hover();
    expect(await look(), 'one class by pointer').to.not.equal(bare);
    await page.mouse.move(0, 0);
    expect(await look()).to.equal(bare);
    await page.locator('#opacity').focus();
    await page.keyboard.press('Tab');
    const byKey = await look();
    expect(byKey, 'one class by focus').to.not.equal(bare);
    await page.keyboard.press('Enter');
    expect(await entry.getAttribute('aria-pressed')).to.equal('true');
    await page.keyboard.press('Enter');
    expect(await entry.getAttribute('aria-pressed')).to.equal('false');
    expect(asked).to.deep.equal([]);
    page.removeAllListeners('request');
  });

  it('names the class under the pointer, and under the point that arrow keys move', async () => {
    const mask = readPaletteIds(await downloaded(page, '#save-mask'))!;
    const { segment } = JSON.parse(await readFile(join(zoo, 'config.json'), 'utf8')) as ConfigOf<
      typeof segmentContract
    >;
    const nameAt = (x: number, y: number): string =>
      segment.classes[mask.data[Math.floor(y * mask.height) * mask.width + Math.floor(x * mask.width)]!]!.name;
    const box = (await page.locator('.view').boundingBox())!;
    for (const [x, y] of [
      [0.3, 0.1],
      [0.7, 0.9],
    ] as const) {
      await page.mouse.move(box.x + x * box.width, box.y + y * box.height);
      expect(await page.textContent('.under')).to.equal(nameAt(x, y));
    }
    await page.locator('.view').focus();
    await page.keyboard.press('ArrowUp');
    expect(await page.textContent('.under')).to.equal(nameAt(0.7, 0.88));
    expect(await page.locator('.probe').isVisible()).to.equal(true);
  });

  it('saves the photo with the colours over it', async () => {
    await page.locator('#opacity').fill('100');
    const overlay = await sharp(await downloaded(page, '#save-overlay'))
      .removeAlpha()
      .raw()
      .toBuffer();
    const mask = await sharp(await downloaded(page, '#save-mask'))
      .removeAlpha()
      .raw()
      .toBuffer();
    expect(overlay.equals(mask), 'fully opaque, it is the mask in colour').to.equal(true);
  });

  it('has the server draw over a photo that the browser cannot open; a failed save leaves the result where it is', async () => {
    const tiff = await sharp(join(rootDir, 'tasks', 'restore', 'sample.jpg'))
      .resize(120, 90, { fit: 'fill' })
      .tiff()
      .toBuffer();
    await open();
    await workIn(page, tiff, 'scan.tiff');
    const overlay = await sharp(await downloaded(page, '#save-overlay')).metadata();
    expect([overlay.width, overlay.height]).to.deep.equal([120, 90]);
    await page.route('**/v1/segment*', (route) => route.abort());
    await page.click('#save-overlay');
    await page
      .locator('#unsaved', { hasText: 'The overlay could not be saved: The server could not be reached' })
      .waitFor();
    await page.unroute('**/v1/segment*');
    expect(await page.getAttribute('main', 'data-state')).to.equal('done');
    await downloaded(page, '#save-mask');
    expect(await page.textContent('#unsaved'), 'after the next').to.equal('');
  });

  for (const [device, name] of Object.entries({ wasm: 'WebAssembly', webgl: 'WebGL', webgpu: 'WebGPU' })) {
    it(`gives on this device with ${name} at least 99.9 % of the server's pixels`, async () => {
      await open(`?device=${device}`);
      for (const photo of await photos()) {
        const place = await workIn(page, photo.bytes, photo.name);
        expect(place).to.contain(`Segmented on this device (${name}`);
        const [here, there] = [
          readPaletteIds(await downloaded(page, '#save-mask'))!,
          readPaletteIds(await serverMask(photo))!,
        ];
        expect([here.width, here.height]).to.deep.equal([there.width, there.height]);
        const equal = here.data.reduce((sum, id, i) => sum + (id === there.data[i] ? 1 : 0), 0) / there.data.length;
        console.log(
          `      ${device}, ${photo.name} ${there.width}x${there.height}: ${(100 * equal).toFixed(3)} % equal`,
        );
        expect(equal, photo.name).to.be.at.least(0.999);
        expect(new Set(there.data).size, 'classes in it').to.be.above(1);
        await page.locator('.actions [data-do=new]').last().click();
      }
    });
  }

  it('turns a photo upright', async () => {
    const upright = await testPhoto(96, 64);
    const turned = await sharp(upright).withMetadata({ orientation: 6 }).png().toBuffer();
    await open();
    await workIn(page, turned, 'turned.png');
    const mask = readPaletteIds(await downloaded(page, '#save-mask'))!;
    expect([mask.width, mask.height]).to.deep.equal([64, 96]);
  });

  it('fits a phone: nothing is wider than 360 pixels', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await open();
    const widest = (): Promise<number> => page.evaluate('document.documentElement.scrollWidth');
    expect(await widest(), 'empty').to.equal(360);
    await workIn(page, (await photos())[0]!.bytes, 'sample.png');
    expect(await widest(), 'result').to.equal(360);
    await page.setViewportSize({ width: 1100, height: 800 });
  });

  it('takes over when the server is not ready', async () => {
    await open();
    await page.route('**/v1/segment*', (route) =>
      route.fulfill({ status: 503, json: { error: { code: 'not-ready', message: '' }, requestId: 'test' } }),
    );
    await page
      .locator('#file')
      .setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: (await photos())[0]!.bytes });
    expect(await outcome(page)).to.contain('Segmented on this device');
    expect(await page.textContent('#reasons')).to.contain('the server is not available (not-ready)');
  });

  it('breaks neither the content security policy nor anything else', () => {
    expect(faults).to.deep.equal([]);
  });
});
