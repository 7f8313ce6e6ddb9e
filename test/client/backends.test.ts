import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import express from 'express';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { createRng } from '../../training/core/rng.ts';
import { f32, sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';

const noBrowser = whyNoBrowser();
const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A page that has nothing but the sessions of the browser, built like the real one. */
async function buildPage(outDir: string): Promise<void> {
  await build({
    configFile: false,
    root,
    logLevel: 'error',
    resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
    build: {
      target: 'es2022',
      outDir,
      assetsInlineLimit: 0,
      rollupOptions: {
        input: join(root, 'test/client/backends.web.ts'),
        output: { entryFileNames: 'backends.js' },
      },
    },
  });
}

function servePage(dir: string): Promise<Server> {
  const app = express();
  app.use((_request, response, next) => {
    response.set({ 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' });
    next();
  });
  app.get(
    '/',
    (_request, response) => void response.send('<!doctype html><script type="module" src="/backends.js"></script>'),
  );
  app.use(express.static(dir));
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server));
  });
}

const random = (seed: number, dims: readonly number[]): Tensor<'float32'> => {
  const rng = createRng(seed);
  return f32(dims, Array.from({ length: sizeOf(dims) }, rng.next));
};

(noBrowser === undefined ? describe : describe.skip)(`browser backends ${noBrowser ?? ''}`, () => {
  const { model, webglModel, spec } = tinyRestoreModel();
  /** Several sizes on one session, a size again after another, more sizes than WebGL keeps. */
  const inputs = [16, 32, 16, 40, 48, 56, 64].map((width, i) => random(i, [1, 3, 24, width]));
  const expected: Float32Array[] = [];
  let dir: string;
  let server: Server;
  let browser: Browser;
  let page: Page;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-backends-'));
    await buildPage(dir);
    [server, browser] = await Promise.all([servePage(dir), openBrowser()]);
    page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction('globalThis.runOn !== undefined');
    const session = await openSession(model, { device: 'cpu' });
    for (const input of inputs) {
      const { [spec.outputName]: output } = await session.run({ [spec.inputName]: input });
      expected.push(output?.data as Float32Array);
    }
    await session.release();
  });

  after(async () => {
    await browser?.close();
    server?.close();
    await rm(dir, { recursive: true, force: true });
  });

  for (const device of ['wasm', 'webgl', 'webgpu']) {
    it(`${device} agrees with the CPU within 1/255 per value`, async () => {
      const job = {
        device,
        model: [...(device === 'webgl' ? webglModel : model)],
        input: spec.inputName,
        output: spec.outputName,
        runs: inputs.map(({ dims, data }) => ({ dims, data: [...data] })),
      };
      const results = await page.evaluate<number[][]>(`runOn(${JSON.stringify(job)})`);
      expect(results).to.have.lengthOf(inputs.length);
      for (const [i, result] of results.entries()) {
        expect(result).to.have.lengthOf(expected[i]!.length);
        const worst = result.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[i]![at]!)), 0);
        expect(worst, `input ${i}`).to.be.at.most(1 / 255);
      }
    });
  }
});
