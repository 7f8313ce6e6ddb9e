import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { createClient } from '../../client/api.ts';
import type { GenerateBody, GenerateEvent } from '../../tasks/text/contract.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { tinyTextModel } from '../helpers/text-model.ts';
import {
  eventually,
  makeStore,
  outcome,
  startTestServer,
  type TestServer,
  type TestStore,
  watchFaults,
} from './setup.ts';

const noBrowser = whyNoBrowser();

const publishTiny = (store: TestStore): Promise<void> =>
  store.publish({ task: 'text', files: { 'model.onnx': tinyTextModel(), 'card.md': '# Tiny\n' } });

/** The posts on the page, what was given and what was written. */
const posts = (page: Page): Promise<string[]> => page.locator('.post .text').allTextContents();

async function fill(page: Page, prompt: string, seed: number): Promise<void> {
  await page.fill('#prompt', prompt);
  await page.locator('#seed').evaluate((field, value) => Object.assign(field, { value }), String(seed));
}

/** Has posts written; returns what the page states of where. */
async function writeIn(page: Page, prompt: string, seed: number): Promise<string> {
  await fill(page, prompt, seed);
  await page.click('#generate');
  return outcome(page);
}

(noBrowser === undefined ? describe : describe.skip)(
  `page that writes posts, in Chromium ${noBrowser ?? ''}`,
  function () {
    this.timeout(600_000);
    let store: TestStore;
    let server: TestServer;
    let browser: Browser;
    let page: Page;
    let faults: readonly string[];

    before(async () => {
      store = await makeStore();
      [server, browser] = await Promise.all([startTestServer(store.dir), openBrowser({ serviceWorkers: false })]);
      await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
      page = await browser.context.newPage();
      faults = await watchFaults(page);
    });

    after(async () => {
      await browser?.close();
      await server?.kill();
      await store?.remove();
    });

    const open = (): Promise<unknown> => page.goto(`${server.url}/write`);

    it('explains how to get a model while there is none', async () => {
      await open();
      await page.waitForSelector('main[data-state=none]');
      expect(await page.locator('#train').innerText()).to.contain('npx fettle retrain text --data posts.csv');
      expect(await page.locator('#compose').isVisible()).to.equal(false);
      await publishTiny(store);
      await page.waitForTimeout(500); // the server looks ten times a second
      await page.reload();
      await page.locator('#model', { hasText: 'text@1: for tests.' }).waitFor();
      expect(await page.locator('#prompt').isVisible()).to.equal(true);
      expect(await page.locator('.disclaimer').innerText()).to.contain("Machine-written, and nobody's words");
    });

    it('writes what the server writes for the seed, and the same again', async () => {
      await open();
      expect(await writeIn(page, 'The cat', 7)).to.match(/^Written by the server with text@1, .* Seed 7\.$/);
      const first = await posts(page);
      const options = { n: 3, maxTokens: 90, temperature: 0.8, topP: 0.95, seed: 7 };
      const { body } = await createClient({ baseUrl: server.url }).generate('The cat', options);
      expect(first).to.deep.equal(body.candidates.map(({ text }) => `The cat${text}`));
      expect(new Set(first).size, 'three different posts').to.equal(3);
      await writeIn(page, 'The cat', 8);
      expect(await posts(page)).to.not.deep.equal(first);
      await page.focus('#prompt');
      await fill(page, 'The cat', 7);
      await page.keyboard.press('Control+Enter');
      await outcome(page);
      expect(await posts(page)).to.deep.equal(first);
      expect(await page.textContent('#status'), 'those who listen hear the posts').to.contain(`Post 2: ${first[1]}`);
    });

    it('shows every piece as it comes', async () => {
      await open();
      await page.evaluate(`globalThis.seen = new Set();
      new MutationObserver(() => seen.add(document.querySelector('.post .text')?.textContent))
        .observe(document.getElementById('posts'), { childList: true, subtree: true, characterData: true })`);
      await writeIn(page, 'The dog', 3);
      const [last] = await posts(page);
      const seen = (await page.evaluate('[...seen]')) as string[];
      expect(seen.length).to.be.above(10);
      expect(seen.every((text) => last!.startsWith(text))).to.equal(true);
    });

    it('draws another seed for another three', async () => {
      const before = [await page.inputValue('#seed'), ...(await posts(page))];
      await page.click('#another');
      await outcome(page);
      expect(await page.inputValue('#seed')).to.not.equal(before[0]);
      expect(await posts(page)).to.not.deep.equal(before.slice(1));
    });

    it('passes on how daring the words may be', async () => {
      await page.click('.tuning summary');
      await page.fill('#daring', '0.1');
      expect(await page.textContent('#daring-value')).to.equal('0.1');
      const sent = page.waitForRequest(/\/v1\/generate/);
      await page.click('#generate');
      expect((await sent).postDataJSON()).to.include({ temperature: 0.1, n: 3, stream: true });
      await outcome(page);
    });

    it('copies a post, and counts its characters', async () => {
      await writeIn(page, 'A 🚀 at https://example.org/a/long/way', 5);
      const [, second] = await posts(page);
      await page.getByRole('button', { name: 'Copy post 2' }).click();
      await page.locator('.copy', { hasText: 'Copied' }).waitFor();
      expect(await page.evaluate('navigator.clipboard.readText()')).to.equal(second);
      const given = 'A 🚀 at https://example.org/a/long/way';
      const more = second!.slice(given.length);
      // An emoji counts 2, a link 23; the tiny model writes letters and marks alone.
      const counted = 'A '.length + 2 + ' at '.length + 23 + more.length;
      expect(await page.locator('.count').nth(1).textContent()).to.equal(`${counted} / 280`);
    });

    it('wants a beginning, and a seed that is one', async () => {
      await page.fill('#prompt', '  ');
      await page.click('#generate');
      const message = await page.evaluate("document.getElementById('prompt').validationMessage");
      expect(message).to.equal('Write how the post begins.');
      await fill(page, 'The cat', -1);
      await page.click('#generate');
      expect(await page.evaluate("document.getElementById('seed').validity.rangeUnderflow")).to.equal(true);
    });

    it('shows what the server says against it, and offers this device', async () => {
      await page.route('**/v1/generate', (route) =>
        route.fulfill({
          status: 400,
          contentType: 'application/json',
          body: JSON.stringify({ error: { code: 'bad-request', message: 'prompt: no' }, requestId: 'r1' }),
        }),
      );
      await fill(page, 'The cat', 1);
      await page.click('#generate');
      await page.waitForSelector('main[data-state=error]');
      expect(await page.innerText('#failed'))
        .to.contain('The server did not write the posts')
        .and.contain('prompt: no');
      await page.unroute('**/v1/generate');
      await page.click('#try-here');
      expect(await outcome(page)).to.match(/^Written on this device \(WebAssembly/);
      expect(await page.isChecked('input[name=here]')).to.equal(true);
    });

    it('writes the same from the same seed on this device, piece by piece', async () => {
      await open();
      await page.check('input[name=here]');
      expect(await writeIn(page, 'The cat', 7)).to.match(/^Written on this device \(WebAssembly.*text@1/);
      const first = await posts(page);
      expect(await page.locator('#reasons').textContent()).to.contain('you asked for it');
      await writeIn(page, 'The cat', 7);
      expect(await posts(page)).to.deep.equal(first);
      await page.reload(); // a fresh worker
      await page.check('input[name=here]');
      await writeIn(page, 'The cat', 7);
      expect(await posts(page)).to.deep.equal(first);
    });

    it('stops at once and keeps what is there', async () => {
      await page.route('**/v1/models/**', () => undefined); // the model never comes
      await page.reload();
      await page.check('input[name=here]');
      await fill(page, 'The cat', 7);
      await page.click('#generate');
      await page.waitForSelector('main[data-state=busy]');
      await page.click('#cancel');
      expect(await outcome(page)).to.equal('Stopped.');
      expect(await posts(page)).to.deep.equal(['The cat', 'The cat', 'The cat']);
      await page.unroute('**/v1/models/**');
      await page.click('#another');
      expect(await outcome(page)).to.contain('Written on this device');
    });

    it('says how much of the model has come', async () => {
      const said: string[] = [];
      await page.exposeFunction('reportProgress', (text: string) => void said.push(text));
      await page.reload();
      await page.evaluate(`new MutationObserver(() => reportProgress(document.getElementById('doing').textContent))
      .observe(document.getElementById('doing'), { childList: true })`);
      await page.check('input[name=here]');
      await writeIn(page, 'The cat', 7);
      expect(
        said.some((text) => /^Getting the model ready on this device, \d+ %$/.test(text)),
        String(said),
      ).to.equal(true);
    });

    it('fits a phone: nothing is wider than 360 pixels', async () => {
      await page.setViewportSize({ width: 360, height: 740 });
      await open();
      await page.click('.tuning summary');
      await writeIn(page, 'The cat', 7);
      expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(360);
    });

    it('breaks neither the content security policy nor anything else', () => {
      expect(faults).to.deep.equal([]);
    });
  },
);

(noBrowser === undefined ? describe : describe.skip)(
  `page that writes posts, without its server ${noBrowser ?? ''}`,
  function () {
    this.timeout(600_000);
    let store: TestStore;
    let server: TestServer;
    let browser: Browser;
    let page: Page;

    before(async () => {
      store = await makeStore();
      await publishTiny(store);
      [server, browser] = await Promise.all([startTestServer(store.dir), openBrowser()]);
      page = await browser.context.newPage();
      await page.goto(`${server.url}/write`);
      await page.getByText('Works offline').waitFor();
    });

    after(async () => {
      await browser?.close();
      await server?.kill();
      await store?.remove();
    });

    it('continues on this device when the server hangs, and begins the posts anew', async () => {
      server.signal('SIGSTOP');
      const place = await writeIn(page, 'The cat', 7);
      server.signal('SIGCONT');
      expect(place).to.match(/^Written on this device \(WebAssembly/);
      expect(await page.locator('#reasons').textContent()).to.contain('the server could not be reached');
      for (const post of await posts(page)) expect(post).to.match(/^The cat /);
    });

    it('comes up and writes offline, the same as before', async () => {
      const before = await posts(page);
      await server.kill();
      await page.reload();
      await page.locator('#model', { hasText: 'text@1' }).waitFor();
      expect(await writeIn(page, 'The cat', 7)).to.match(/^Written on this device \(WebAssembly/);
      expect(await posts(page)).to.deep.equal(before);
    });
  },
);

describe('client: generate', function () {
  this.timeout(120_000);
  let store: TestStore;
  let server: TestServer;
  before(async () => {
    store = await makeStore();
    await publishTiny(store);
    server = await startTestServer(store.dir);
  });
  after(async () => {
    await server?.kill();
    await store?.remove();
  });

  const client = () => createClient({ baseUrl: server.url });

  it('tells the pieces, and at last the whole', async () => {
    const pieces: GenerateEvent[] = [];
    const { body, model } = await client().generate('The cat', {
      n: 2,
      seed: 4,
      onPiece: (piece) => pieces.push(piece),
    });
    expect(model).to.equal('text@1');
    const joined = (body as GenerateBody).candidates.map((_, i) => pieces.filter(({ candidate }) => candidate === i));
    expect(joined.map((all) => all.map(({ text }) => text).join(''))).to.deep.equal(
      body.candidates.map(({ text }) => text),
    );
  });

  it('throws what the server says, the reason of an abort, and `unreachable`', async () => {
    const thrown = (work: Promise<unknown>) =>
      work.then(
        () => expect.fail('it worked'),
        (error: unknown) => error,
      );
    expect(await thrown(client().generate(' '))).to.include({ status: 400, code: 'bad-request' });
    const abort = new AbortController();
    const onPiece = (): void => abort.abort(new Error('enough'));
    const ended = await thrown(client().generate('The cat', { maxTokens: 1000, signal: abort.signal, onPiece }));
    expect(ended).to.have.property('message', 'enough');
    const broken = client().generate('The cat', { maxTokens: 1000, n: 16, onPiece: () => void server.kill() });
    expect(await thrown(broken)).to.include({ status: 0, code: 'unreachable', isAway: true });
    await eventually('nobody answers', async () => (await client().health()) === 'away');
  });
});
