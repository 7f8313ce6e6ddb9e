import { expect } from 'chai';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import {
  downloaded,
  largestDifference,
  makeStore,
  outcome,
  restoreIn,
  startTestServer,
  type TestServer,
  type TestStore,
  testPhoto,
  watchFaults,
  withGamma,
} from './setup.ts';

const noBrowser = whyNoBrowser();

(noBrowser === undefined ? describe : describe.skip)(`page in Chromium ${noBrowser ?? ''}`, () => {
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
      testPhoto(),
    ]);
    page = await browser.context.newPage();
    faults = await watchFaults(page);
  });

  after(async () => {
    await browser?.close();
    await server?.kill();
    await store?.remove();
  });

  /** What the server makes of the photo, asked directly. */
  async function fromServer(query = ''): Promise<Uint8Array> {
    const body = new FormData();
    body.append('image', new Blob([new Uint8Array(photo)]), 'photo.png');
    const response = await fetch(`${server.url}/v1/restore${query}`, { method: 'POST', body });
    expect(response.status).to.equal(200);
    return new Uint8Array(await response.arrayBuffer());
  }

  it('restores through the server and says so', async () => {
    await page.goto(server.url);
    expect(await restoreIn(page, photo)).to.match(/^Restored by the server with restore@1/);
    const result = await downloaded(page);
    expect(await largestDifference(result, await fromServer())).to.equal(0);
    expect(await largestDifference(result, photo), 'the model changes the photo').to.be.above(5);
  });

  it('has a damaged photo to try, restored at twice its size', async () => {
    await page.goto(server.url);
    await page.getByRole('button', { name: 'Try a damaged one' }).click();
    expect(await outcome(page)).to.contain('Restored by the server');
    const { width, height, format } = await sharp(await downloaded(page)).metadata();
    expect({ width, height, format }).to.deep.equal({ width: 210, height: 192, format: 'jpeg' });
  });

  it('enlarges a small photo by itself, as long as nobody has chosen', async () => {
    await page.goto(server.url);
    await page.locator('#file').setInputFiles({ name: 'small.png', mimeType: 'image/png', buffer: photo });
    expect(await outcome(page)).to.contain('Restored by the server');
    const small = await sharp(photo).metadata();
    expect((await sharp(await downloaded(page)).metadata()).width).to.equal(2 * small.width);
    await page
      .locator('#file')
      .setInputFiles({ name: 'large.png', mimeType: 'image/png', buffer: await testPhoto(200, 180) });
    await page.locator('input[name=scale][value="1"]:checked').waitFor({ state: 'attached' });
    await outcome(page);
    expect((await sharp(await downloaded(page)).metadata()).width).to.equal(200);
  });

  it('enlarges and changes the format as asked', async () => {
    await page.goto(server.url);
    await page.locator('label', { hasText: '×2' }).click();
    await page.locator('select[name=format]').selectOption('webp');
    await restoreIn(page, photo);
    const { width, height, format } = await sharp(await downloaded(page)).metadata();
    expect({ width, height, format }).to.deep.equal({ width: 240, height: 176, format: 'webp' });
  });

  for (const [device, name] of Object.entries({ wasm: 'WebAssembly', webgl: 'WebGL', webgpu: 'WebGPU' })) {
    it(`restores on this device with ${name} as the server does`, async () => {
      await page.goto(`${server.url}/?device=${device}`);
      expect(await page.evaluate('crossOriginIsolated')).to.equal(true);
      // What is enlarged is prepared before the model, so one backend is enough for that.
      for (const scale of device === 'wasm' ? ['1', '2'] : ['1']) {
        await page.locator('label', { hasText: `×${scale}` }).click();
        expect(await restoreIn(page, photo)).to.contain(`Restored on this device (${name}`);
        const difference = await largestDifference(await downloaded(page), await fromServer(`?scale=${scale}`));
        expect(difference, `scale ${scale}`).to.be.at.most(2);
      }
    });
  }

  it('takes the numbers of a PNG without a profile as sRGB, whatever gamma it names', async () => {
    const plain = photo;
    photo = withGamma(photo);
    try {
      await page.goto(`${server.url}/?device=wasm`);
      await restoreIn(page, photo);
      expect(await largestDifference(await downloaded(page), await fromServer())).to.be.at.most(2);
    } finally {
      photo = plain;
    }
  });

  it('turns a photo upright and keeps its transparency', async () => {
    const { data, info } = await sharp(photo).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    data.forEach((_, i) => {
      if (i % 4 === 3) data[i] = i % 1000 < 500 ? 255 : 0;
    });
    const png = await sharp(data, { raw: { ...info, channels: 4 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    await page.goto(`${server.url}/?device=wasm`);
    await restoreIn(page, png);
    const got = await sharp(await downloaded(page))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([got.info.width, got.info.height, got.info.channels]).to.deep.equal([info.height, info.width, 4]);
    const wanted = await sharp(png).autoOrient().extractChannel(3).raw().toBuffer();
    expect(await sharp(got.data, { raw: got.info }).extractChannel(3).raw().toBuffer()).to.deep.equal(wanted);
  });

  it('states why a device was skipped', async () => {
    await page.goto(server.url);
    await page.locator('label', { hasText: 'On this device' }).click();
    expect(await restoreIn(page, photo)).to.contain('WebAssembly');
    await page.click('summary');
    const reasons = await page.textContent('#reasons');
    expect(reasons).to.contain('Not on the server: you asked for it.');
    expect(reasons).to.match(/Not on WebGPU: .*emulated in software/);
    expect(reasons).to.match(/Not on WebGL: .*emulated in software/);
  });

  it('shows the message and the code of what the server refuses', async () => {
    await page.goto(server.url);
    await page
      .locator('#file')
      .setInputFiles({ name: 'page.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg/>') });
    await page.waitForSelector('main[data-state=error]');
    expect(await page.textContent('#advice')).to.match(/SVG/);
    expect(await page.textContent('#code')).to.match(/^unsupported-image, request [\w-]{36}$/);
    expect(await page.locator('[role=alert]').isVisible()).to.equal(true);
  });

  /** Has the server answer the next restorations with an error of its own. */
  const answerWith = (status: number, code: string): Promise<unknown> =>
    page.route('**/v1/restore*', (route) =>
      route.fulfill({ status, json: { error: { code, message: 'as the test says' }, requestId: 'test' } }),
    );

  it('restores on this device when the server is not ready, and says why', async () => {
    await page.goto(server.url);
    await answerWith(503, 'not-ready');
    expect(await restoreIn(page, photo)).to.contain('Restored on this device');
    await page.unroute('**/v1/restore*');
    expect(await page.textContent('#reasons')).to.contain('the server is not available (not-ready)');
  });

  it('offers this device when something broke in the server', async () => {
    await page.goto(server.url);
    await answerWith(500, 'internal');
    await page.locator('#file').setInputFiles({ name: 'photo.png', mimeType: 'image/png', buffer: photo });
    await page.getByRole('button', { name: 'Restore on this device' }).click();
    await page.unroute('**/v1/restore*');
    expect(await outcome(page)).to.contain('Restored on this device');
  });

  it('stops when it is cancelled, and starts over', async () => {
    await page.goto(server.url);
    await page.route('**/v1/restore*', () => undefined); // never answered
    const sent = page.waitForRequest(/restore\?/);
    await page.locator('#file').setInputFiles({ name: 'photo.png', mimeType: 'image/png', buffer: photo });
    const failed = page.waitForEvent('requestfailed', (request) => request.url().includes('/v1/restore'));
    await sent;
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect((await failed).failure()?.errorText).to.equal('net::ERR_ABORTED');
    await page.unroute('**/v1/restore*');
    expect(await page.getAttribute('main', 'data-state')).to.equal('empty');
    expect(await restoreIn(page, photo)).to.contain('Restored by the server');
  });

  it('tells what is wrong with a photo that this device cannot open', async () => {
    await page.goto(`${server.url}/?device=wasm`);
    await page
      .locator('#file')
      .setInputFiles({ name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
    await page.waitForSelector('main[data-state=error]');
    expect(await page.textContent('#advice')).to.match(/expected a picture that this browser can open/);
  });

  it('takes a photo that is dropped or pasted', async () => {
    const events = {
      drop: `new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true })`,
      paste: `new ClipboardEvent('paste', { clipboardData: files, bubbles: true })`,
    };
    for (const [type, event] of Object.entries(events)) {
      await page.goto(server.url);
      await page.evaluate(`{
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array([${[...photo]}])], 'photo.png', { type: 'image/png' }));
        document.body.dispatchEvent(${event});
      }`);
      expect(await outcome(page), type).to.contain('Restored by the server');
    }
  });

  it('moves the divider and the picture by keyboard', async () => {
    await page.goto(server.url);
    await restoreIn(page, photo);
    const slider = page.getByRole('slider', { name: 'Divider between before and after' });
    const stage = page.locator('.stage');
    const value = async (): Promise<number> => Number(await slider.getAttribute('aria-valuenow'));
    await stage.focus();
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').getAttribute('role')).to.equal('slider');
    const wanted: readonly (readonly [string, number])[] = [
      ['ArrowLeft', 49],
      ['Shift+ArrowRight', 59],
      ['PageDown', 49],
      ['Home', 0],
      ['ArrowLeft', 0],
      ['End', 100],
    ];
    for (const [key, result] of wanted) {
      await page.keyboard.press(key);
      expect(await value(), key).to.equal(result);
    }
    const allBefore = await stage.screenshot();
    await page.keyboard.press('Home');
    expect(await slider.getAttribute('aria-valuetext')).to.equal('0 % before, 100 % after');
    expect(await largestDifference(await stage.screenshot(), allBefore), 'another picture is seen').to.be.above(5);
    await stage.focus();
    const fitted = await stage.screenshot();
    await page.keyboard.press('+');
    await page.keyboard.press('ArrowRight');
    expect(await largestDifference(await stage.screenshot(), fitted), 'zoomed and moved').to.be.above(5);
    await page.keyboard.press('0');
    expect(await largestDifference(await stage.screenshot(), fitted), 'fits again').to.equal(0);
  });

  it('moves the divider by pointer, and keeps both pictures in step when zoomed', async () => {
    const box = (await page.locator('.stage').boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 4, box.y + box.height / 2, { steps: 3 });
    await page.mouse.up();
    expect(await page.getAttribute('[role=slider]', 'aria-valuenow')).to.equal('25');
    await page.click('[data-zoom=in]');
    const transforms = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.layer img')].map((image) => getComputedStyle(image).transform)",
    );
    expect(transforms[0]).to.match(/^matrix\(1\.5, 0, 0, 1\.5, -/);
    expect(transforms[1]).to.equal(transforms[0]);
  });

  it('fits a phone: nothing is wider than 360 pixels', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(server.url);
    const widest = (): Promise<number> => page.evaluate('document.documentElement.scrollWidth');
    expect(await widest(), 'empty').to.equal(360);
    await restoreIn(page, photo);
    expect(await widest(), 'result').to.equal(360);
    await page.setViewportSize({ width: 1100, height: 800 });
  });

  it('breaks neither the content security policy nor anything else', () => {
    expect(faults).to.deep.equal([]);
  });
});
