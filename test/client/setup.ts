import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { openStore } from '../../server/store/store.ts';
import type { ModelConfig } from '../../tasks/config.ts';
import { createRng } from '../../training/core/rng.ts';
import { pngChunk } from '../../training/pictures/png.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';

/** A version to be registered: its file, and how it is fed and read. */
export interface TestVersion extends Readonly<Record<string, unknown>> {
  readonly task: ModelConfig['task'];
  /** The model's name; its task's by default. */
  readonly name?: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
}

/** A store in a temporary folder with the tiny model as `restore`; another `seed` is another model. */
export interface TestStore {
  readonly dir: string;
  /** Registers the tiny model made from `seed` as the next version and has it serve. */
  add(seed: number): Promise<void>;
  /** The same for any model. */
  publish(version: TestVersion): Promise<void>;
  remove(): Promise<void>;
}

export async function makeStore(): Promise<TestStore> {
  const dir = await mkdtemp(join(tmpdir(), 'fettle-store-'));
  const store = openStore({ storeDir: dir, zooDir: join(dir, 'no-zoo') });
  const publish = async ({ task, files, name = task, ...specs }: TestVersion): Promise<void> => {
    const { config } = await store.register(name, files, {
      name,
      task,
      createdAt: '2026-01-01T00:00:00.000Z',
      description: 'for tests',
      metrics: {},
      ...specs,
    });
    await store.use(name, config.version);
  };
  const add = async (seed: number): Promise<void> => {
    const { model, webglModel, spec } = tinyRestoreModel(seed);
    const files = { 'model.onnx': model, 'model.webgl.onnx': webglModel, 'card.md': '# Tiny\n' };
    await publish({ task: 'restore', files, image: spec });
  };
  await add(1);
  return { dir, add, publish, remove: () => rm(dir, { recursive: true, force: true }) };
}

export interface TestServer {
  readonly url: string;
  /** Sends a signal: SIGSTOP makes it hang, SIGKILL makes it vanish. */
  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void;
  kill(): Promise<void>;
}

export async function startTestServer(storeDir: string, port = 0, clientDir?: string): Promise<TestServer> {
  const script = fileURLToPath(new URL('./serve.js', import.meta.url));
  const child: ChildProcess = fork(script, [storeDir, String(port), ...(clientDir === undefined ? [] : [clientDir])], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const url = await Promise.race([
    once(child, 'message').then(([message]) => String(message)),
    ended.then(([code]) => Promise.reject(new Error(`the test server ended with ${code} before it listened`))),
  ]);
  return {
    url,
    signal: (name) => void child.kill(name),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A photo-like PNG of 8 bits, opaque, without colour profile: soft waves and grain. */
export async function testPhoto(width = 120, height = 88): Promise<Buffer> {
  const rng = createRng(5);
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    data[i] = 128 + 80 * Math.sin(x / (9 + 5 * c)) * Math.cos(y / 13) + rng.int(-30, 30);
  }
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** The PNG with a `gAMA` chunk of 1/1.8 after its header: a browser that heeds it shows other colours. */
export function withGamma(png: Buffer): Buffer {
  const gamma = Buffer.alloc(4);
  gamma.writeUInt32BE(55_556);
  const afterHeader = 8 + 25;
  return Buffer.concat([png.subarray(0, afterHeader), pngChunk('gAMA', gamma), png.subarray(afterHeader)]);
}

/** As a user does who has chosen the size: else the page enlarges a small photo by itself. */
const keepScale = (page: Page): Promise<void> =>
  page.locator('input[name=scale]:checked').dispatchEvent('change', { bubbles: true });

/** Gives the page a photo and waits until it is restored or an error is shown; returns what the page states of it. */
export async function restoreIn(page: Page, photo: Buffer, name = 'photo.png'): Promise<string> {
  await keepScale(page);
  return workIn(page, photo, name);
}

/** Gives any page a photo; returns what the page states of where it was worked on. */
export async function workIn(page: Page, photo: Buffer, name: string): Promise<string> {
  const mimeType = name.endsWith('.jpg') ? 'image/jpeg' : 'image/png';
  await page.locator('#file').setInputFiles({ name, mimeType, buffer: photo });
  return outcome(page);
}

/** Software adapters on busy cores need minutes for what a card does in a moment. */
const patience = { timeout: 300_000 };

/** Waits for the end of a restoration; the text is where it was restored, or throws what went wrong. */
export async function outcome(page: Page): Promise<string> {
  await page.waitForSelector('main[data-state=busy]', { state: 'detached', ...patience });
  await page.waitForSelector('main[data-state=done], main[data-state=error]', patience);
  if ((await page.getAttribute('main', 'data-state')) === 'error') {
    throw new Error(`the page shows an error: ${await page.textContent('#failed')}`);
  }
  return (await page.textContent('#place')) ?? '';
}

/** Asks again until `check` holds; fails after ten seconds. */
export async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`expected, within ten seconds: ${what}`);
}

/** The bytes that a download button gives. */
export async function downloaded(page: Page, button = '#download'): Promise<Uint8Array> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Largest difference of two pictures in RGB, 0..255; NaN where their sizes differ. */
export async function largestDifference(a: Uint8Array, b: Uint8Array): Promise<number> {
  const [p, q] = await Promise.all(
    [a, b].map((file) => sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true })),
  );
  if (p?.info.width !== q?.info.width || p?.info.height !== q?.info.height) return Number.NaN;
  return p!.data.reduce((worst, value, i) => Math.max(worst, Math.abs(value - q!.data[i]!)), 0);
}

/** Collects what the page must never do: break the content security policy, or throw. */
export async function watchFaults(page: Page): Promise<readonly string[]> {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  await page.exposeFunction('reportViolation', (text: string) => void faults.push(text));
  await page.addInitScript(`document.addEventListener('securitypolicyviolation', (event) => {
    reportViolation(event.violatedDirective + ': ' + event.blockedURI);
  });`);
  return faults;
}
