import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { build } from 'vite';
import { rootDir } from '../../../scripts/repo/source-files.ts';
import { dtypes } from '../../../training/core/dtype.ts';
import type { Tensor } from '../../../training/core/tensor.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Tensors } from '../../../training/run/session.ts';
import { openBrowser, whyNoBrowser } from '../../helpers/browser.ts';
import type { ChildMessage } from './child.ts';
import { type Answers, doJob, type Job, type OpenJob } from './jobs.ts';

/** A backend that is there. */
export interface Running {
  ask<J extends Job>(job: J): Promise<Answers[J['kind']]>;
  stop(): Promise<void>;
}

/** Starts it, or states in words why it cannot run here. */
export type StartBackend = () => Promise<Running | string>;

const inThisProcess: StartBackend = async () => {
  const open: OpenJob = (model) => openSession(model, { threads: 1 });
  return {
    ask: async <J extends Job>(job: J) => (await doJob(job, open)) as Answers[J['kind']],
    stop: async () => {},
  };
};

/** Chromium's software Vulkan driver, as Debian installs it: a WebGPU device where there is no GPU. */
export const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** The next message of a child, or its end. */
function heard(child: ChildProcess): Promise<ChildMessage> {
  return new Promise((resolve) => {
    const onExit = (code: number | null, signal: string | null): void =>
      done({ kind: 'absent', reason: `its process ended with ${code ?? signal}` });
    const done = (message: ChildMessage): void => {
      child.off('message', done).off('exit', onExit);
      resolve(message);
    };
    child.on('message', done).on('exit', onExit);
  });
}

const inChild =
  (device: string): StartBackend =>
  async () => {
    const driver = existsSync(swiftShader) ? { VK_DRIVER_FILES: swiftShader } : {};
    const child = fork(join(import.meta.dirname, 'child.js'), [device], {
      env: { ...driver, ...process.env },
      stdio: 'ignore',
      serialization: 'advanced',
    });
    const first = await heard(child);
    if (first.kind === 'absent') {
      child.kill();
      return first.reason;
    }
    return {
      async ask<J extends Job>(job: J) {
        child.send(job);
        const message = await heard(child);
        if (message.kind === 'answer') return message.answer as Answers[J['kind']];
        throw new Error(message.kind === 'failure' ? message.text : JSON.stringify(message));
      },
      async stop() {
        child.kill();
      },
    };
  };

/** A page that has nothing but the sessions of the browser, built like the real one. */
async function buildPage(outDir: string): Promise<void> {
  await build({
    configFile: false,
    root: rootDir,
    logLevel: 'error',
    resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
    build: {
      target: 'es2022',
      outDir,
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 2000,
      rollupOptions: {
        input: join(rootDir, 'test/contract/backends/page.web.ts'),
        output: { entryFileNames: 'page.js' },
      },
    },
  });
}

function servePage(dir: string) {
  const app = express();
  app.use((_request, response, next) => {
    response.set({ 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' });
    next();
  });
  app.get(
    '/',
    (_request, response) => void response.send('<!doctype html><script type="module" src="/page.js"></script>'),
  );
  app.use(express.static(dir));
  return new Promise<ReturnType<typeof app.listen>>((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server));
  });
}

const mapValues = <A, B>(record: Readonly<Record<string, A>>, to: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, to(value)]));

/** As JSON has it: see `page.web.ts`. */
function plainJob(job: Job): unknown {
  if (job.kind !== 'run') return job;
  const feeds = job.feeds.map((one) =>
    mapValues(one, (tensor) => ({ ...tensor, data: Array.from(tensor.data as never) })),
  );
  return { ...job, model: Buffer.from(job.model).toString('base64'), feeds };
}

function fromPlain({ dtype, dims, data }: Tensor): Tensor {
  const made = dtypes[dtype].make(data.length);
  (made as Float32Array).set(data as Float32Array);
  return { dtype, dims, data: made };
}

const inPage =
  (device: string): StartBackend =>
  async () => {
    const missing = whyNoBrowser();
    if (missing !== undefined) return missing;
    const dir = await mkdtemp(join(tmpdir(), 'fettle-backends-'));
    await buildPage(dir);
    const [server, browser] = await Promise.all([servePage(dir), openBrowser()]);
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction('globalThis.answer !== undefined');
    const stop = async (): Promise<void> => {
      await browser.close();
      server.close();
      await rm(dir, { recursive: true, force: true });
    };
    const reason = await page.evaluate<string>(`whyAbsent('${device}')`);
    if (reason !== '') {
      await stop();
      return reason;
    }
    return {
      async ask<J extends Job>(job: J) {
        const found = await page.evaluate(`answer('${device}', ${JSON.stringify(plainJob(job))})`);
        const answer =
          job.kind === 'run' ? (found as Tensors[]).map((outputs) => mapValues(outputs, fromPlain)) : found;
        return answer as Answers[J['kind']];
      },
      stop,
    };
  };

/** Every backend that fettle runs on, and how it is started. */
export const backends = {
  cpu: inThisProcess,
  cuda: inChild('cuda'),
  webgpu: inChild('webgpu'),
  wasm: inPage('wasm'),
  'webgpu in a page': inPage('webgpu'),
  'webgl in a page': inPage('webgl'),
} as const satisfies Readonly<Record<string, StartBackend>>;
export type BackendName = keyof typeof backends;
