import { messageOf } from '../training/core/errors.ts';
import type { WebDevice } from '../training/run/ort.web.ts';
import { type Client, type ModelInfo, modelFilePath, modelFor } from './api.ts';
import { idOf, modelFileFor } from './local/model-source.ts';
import { runtimeFiles } from './local/runtimes.ts';
import { baseUrl, pages } from './pages.ts';

/** Whether the page would work without the server, and with which model; or why not. */
export type OfflineState =
  | { readonly ready: true; readonly model: string }
  | { readonly ready: false; readonly reason: string };

const nextIdle = (): Promise<void> =>
  new Promise((resolve) => {
    if ('requestIdleCallback' in globalThis) requestIdleCallback(() => resolve(), { timeout: 10_000 });
    else setTimeout(resolve, 2000);
  });

/**
 * keepOffline: once the page is idle, has the service worker keep the pages, the runtime, and the models that serve now: that of this
 * page's task (`wanted`, if given), and those of the pages that were here before.
 */
export async function keepOffline(client: Client, task: string, wanted: string | undefined): Promise<OfflineState> {
  if (!('serviceWorker' in navigator)) return { ready: false, reason: 'working offline needs https or localhost' };
  try {
    await nextIdle();
    await navigator.serviceWorker.register('./sw.js');
    const { active } = await navigator.serviceWorker.ready;
    const listed = await client.models();
    const model = modelFor(listed, task, wanted);
    const others = listed.filter((one) => one.active && one.name !== model.name);
    const best = await devicesToKeep();
    const models = [model, ...(await keptOf(others))].map((one) => ({ one, devices: devicesFor(one, best) }));
    const devices = new Set(models.flatMap((kept) => kept.devices));
    await order(active!, {
      runtime: [...devices].flatMap((device) => Object.values(runtimeFiles[device] ?? {})),
      models: models.map((kept) => cacheFor(kept.one, kept.devices)),
    });
    return { ready: true, model: idOf(model) };
  } catch (error) {
    return { ready: false, reason: messageOf(error) };
  }
}

/** Those of the models of which the service worker keeps some version. */
async function keptOf(models: readonly ModelInfo[]): Promise<ModelInfo[]> {
  const names = await caches.keys();
  const { pathname } = new URL(baseUrl);
  const prefix = `${pathname === '/' ? 'fettle-' : `fettle${pathname}`}model-`; // as in sw.ts
  return models.filter(({ name }) => names.some((cache) => cache.startsWith(`${prefix}${name}@`)));
}

const devicesFor = ({ task }: ModelInfo, best: readonly WebDevice[]): readonly WebDevice[] =>
  pages.find((page) => page.task === task)?.devices ?? best;

/** What the service worker keeps of a model, and under which name. */
function cacheFor(model: ModelInfo, devices: readonly WebDevice[]) {
  const files = new Set(devices.map((device) => modelFileFor(model, device)));
  const id = `${idOf(model)}-${hashOf(model, files)}`;
  return { id, files: [...files].map((file) => `.${modelFilePath(model, file)}`) };
}

/** The first digits of the files' hashes: a number of a version may come back with other files, from another store. */
const hashOf = ({ files }: ModelInfo, names: Iterable<string>): string =>
  [...names].map((name) => files[name]?.sha256.slice(0, 12)).join('-');

/** The device that will be used, and WebAssembly in case it fails (not where the user asked to save data). */
async function devicesToKeep(): Promise<readonly WebDevice[]> {
  const { usableWebDevices } = await import('../training/run/ort.web.ts');
  const { usable } = await usableWebDevices('auto');
  const { connection } = navigator as Navigator & { readonly connection?: { readonly saveData?: boolean } };
  const first = usable.slice(0, 1);
  return connection?.saveData ? first : [...new Set<WebDevice>([...first, 'wasm'])];
}

interface Answer {
  readonly ok: boolean;
  readonly reason?: string;
}

function order(worker: ServiceWorker, keep: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }: MessageEvent<Answer>) => {
      port1.close();
      if (data.ok) resolve();
      else reject(new Error(data.reason));
    };
    worker.postMessage(keep, [port2]);
  });
}
