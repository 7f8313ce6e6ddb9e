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
import { restoreUnet, restoreUnetDefaults } from '../../models/unet.ts';
import { createRng } from '../../training/core/rng.ts';
import { symDim } from '../../training/core/shape.ts';
import { f32, sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { createScope, initialWeights } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { buildInference } from '../../training/step/train-step.ts';
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

interface Subject {
  readonly name: string;
  readonly model: Uint8Array;
  readonly webglModel: Uint8Array;
  readonly input: string;
  readonly output: string;
  readonly runs: readonly Tensor<'float32'>[];
}

/** Several sizes on one session, a size again after another, more sizes than WebGL keeps. */
function tinySubject(): Subject {
  const { model, webglModel, spec } = tinyRestoreModel();
  const runs = [16, 32, 16, 40, 48, 56, 64].map((width, i) => random(i, [1, 3, 24, width]));
  return { name: 'tiny model', model, webglModel, input: spec.inputName, output: spec.outputName, runs };
}

/** The architecture that we ship, smaller: convolutions of one shape with and without ReLU, pads behind pixel shuffles. */
function unetSubject(): Subject {
  const config = { ...restoreUnetDefaults, widths: [8, 12], blocks: [2, 2], headWidth: 5 };
  const declared = new Graph('unet');
  const scope = createScope(declared, { training: false });
  restoreUnet(scope, declared.input('image', 'float32', [1, 3, 32, 32]), config);
  const weights = initialWeights(scope.specs, 1);
  // As initialised the net changes nothing, which would agree whatever is wrong inside.
  for (const [name, values] of weights)
    if (name.startsWith('head.'))
      weights.set(
        name,
        values.map((value) => 20 * value),
      );
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, symDim('H', 32), symDim('W', 32)] }] as const;
  const graph = buildInference('unet', inputs, weights, (s, { image }) => ({
    restored: restoreUnet(s, image!, config),
  }));
  const webglModel = toOnnx(graph, { opset: 12 });
  const runs = [random(7, [1, 3, 32, 40])];
  return { name: 'U-Net', model: toOnnx(graph), webglModel, input: 'image', output: 'restored', runs };
}

async function onCpu({ model, input, output, runs }: Subject): Promise<Float32Array[]> {
  const session = await openSession(model, { device: 'cpu' });
  const results: Float32Array[] = [];
  for (const run of runs) results.push((await session.run({ [input]: run }))[output]!.data as Float32Array);
  await session.release();
  return results;
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

(noBrowser === undefined ? describe : describe.skip)(`browser backends ${noBrowser ?? ''}`, () => {
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
  });

  after(async () => {
    await browser?.close();
    server?.close();
    await rm(dir, { recursive: true, force: true });
  });

  for (const subject of [tinySubject(), unetSubject()]) {
    for (const device of ['wasm', 'webgl', 'webgpu']) {
      it(`${device} agrees with the CPU within 1/255 per value: ${subject.name}`, async () => {
        const { model, webglModel, input, output } = subject;
        const runs = subject.runs.map(({ dims, data }) => ({ dims, data: [...data] }));
        const job = { device, model: [...(device === 'webgl' ? webglModel : model)], input, output, runs };
        const results = await page.evaluate<number[][]>(`runOn(${JSON.stringify(job)})`);
        const expected = await onCpu(subject);
        expect(results.map((one) => one.length)).to.deep.equal(expected.map((one) => one.length));
        for (const [i, result] of results.entries()) {
          expect(largest(result, expected[i]!), `run ${i}`).to.be.at.most(1 / 255);
          expect(largest(expected[i]!, subject.runs[i]!.data), 'the model changes its input').to.be.above(0.1);
        }
      });
    }
  }
});
