import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import express from 'express';
import { build } from 'vite';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { weightsFile } from '../../training/learner/export.ts';
import type { Learner } from '../../training/learner/learner.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { type Browser, openBrowser, whyNoBrowser } from '../helpers/browser.ts';
import { examplesOf } from '../helpers/example.ts';

const noBrowser = whyNoBrowser();
const library = (name: string): string => join(rootDir, 'dist', 'training', name);
const entries = { 'fettle/web': library('index.web.js'), fettle: library('index.js') };

/** What `finetune.js` of docs/guide/browser.md exports. */
interface Finetune {
  stripesLearner(open: OpenGraph): Promise<Learner>;
  finetune(open: OpenGraph, weights: Uint8Array): Promise<number[]>;
}

const open: OpenGraph = (graph) => openSession(graph, { threads: 1 });

/** The two files of the page in the docs, and the page that they make, in `folder`. */
async function buildPage(folder: string): Promise<void> {
  const [finetune, main, ...others] = examplesOf('docs/guide/browser.md');
  expect(others).to.deep.equal([]);
  const html = '<!doctype html><body><script type="module" src="./main.js"></script>';
  await writeFile(join(folder, 'finetune.js'), finetune!);
  await writeFile(join(folder, 'main.js'), main!);
  await writeFile(join(folder, 'index.html'), html);
  await build({
    configFile: false,
    root: folder,
    logLevel: 'error',
    resolve: { alias: entries },
    build: { target: 'es2022', outDir: join(folder, 'dist'), chunkSizeWarningLimit: 2000 },
  });
}

/** `finetune.js` for Node, whose imports lead to this build. */
async function inNode(folder: string): Promise<Finetune> {
  const [code] = examplesOf('docs/guide/browser.md');
  const file = join(folder, 'finetune.node.mjs');
  await writeFile(file, code!.replace("from 'fettle'", `from '${pathToFileURL(entries.fettle)}'`));
  return import(pathToFileURL(file).href) as Promise<Finetune>;
}

/** A body that has learnt something, under a head that has to begin anew. */
async function pretrained({ stripesLearner }: Finetune): Promise<Uint8Array> {
  const learner = await stripesLearner(open);
  const head = learner.state.tensors.get('head.weight')!.data;
  const fresh = head.slice();
  await learner.fit(2, 0.01);
  head.set(fresh);
  await learner.close();
  return weightsFile(learner);
}

(noBrowser === undefined ? describe : describe.skip)(`training in a browser ${noBrowser ?? ''}`, function () {
  this.timeout(240_000);
  let folder: string;
  let server: ReturnType<ReturnType<typeof express>['listen']>;
  let browser: Browser;
  let losses: number[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-train-'));
    const node = await inNode(folder);
    const weights = await pretrained(node);
    losses = await node.finetune(open, weights);
    await buildPage(folder);
    await writeFile(join(folder, 'dist', 'body.safetensors'), weights);
    const app = express().use(express.static(join(folder, 'dist')));
    server = await new Promise((resolve) => {
      const listening = app.listen(0, '127.0.0.1', () => resolve(listening));
    });
    browser = await openBrowser();
  });

  after(async () => {
    await browser?.close();
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('the example learns in Node', () => {
    expect(losses.length).to.equal(12);
    expect(losses.at(-1)!).to.be.below(0.5 * losses[0]!);
  });

  for (const device of ['wasm', 'webgpu']) {
    it(`on ${device} its losses are Node's, to 1e-4`, async () => {
      const page = await browser.context.newPage();
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(error.message));
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?device=${device}`);
      await page
        .waitForFunction(`document.body.textContent.includes('[')`, undefined, { timeout: 200_000 })
        .catch((error: unknown) => {
          throw new Error(`expected losses, got ${faults.join('; ') || error}`);
        });
      const [where, seen] = (await page.textContent('body'))!.trim().split(': ');
      const found = JSON.parse(seen!) as number[];
      expect(where).to.equal(device);
      expect(found.length).to.equal(losses.length);
      for (const [i, loss] of losses.entries()) expect(Math.abs(found[i]! / loss - 1), `batch ${i}`).to.be.below(1e-4);
    });
  }
});
