import type { WebDevice } from '../training/run/ort.web.ts';
import { type Client, type ModelInfo, modelFilePath } from './api.ts';
import { findModel, idOf, modelFileFor } from './local/model-source.ts';
import { runtimeFiles } from './local/runtimes.ts';

/** Whether the page would work without the server, and with which model; or why not. */
export type OfflineState =
  | { readonly ready: true; readonly model: string }
  | { readonly ready: false; readonly reason: string };

const nextIdle = (): Promise<void> =>
  new Promise((resolve) => {
    if ('requestIdleCallback' in globalThis) requestIdleCallback(() => resolve(), { timeout: 10_000 });
    else setTimeout(resolve, 2000);
  });

/** keepOffline: once the page is idle, has the service worker keep the page, the runtime and the model that serves now. */
export async function keepOffline(client: Client): Promise<OfflineState> {
  if (!('serviceWorker' in navigator)) return { ready: false, reason: 'working offline needs https or localhost' };
  try {
    await nextIdle();
    await navigator.serviceWorker.register('/sw.js');
    const { active } = await navigator.serviceWorker.ready;
    const model = await findModel(client);
    const devices = await devicesToKeep();
    const files = new Set(devices.map((device) => modelFileFor(model, device)));
    const id = idOf(model);
    await order(active!, {
      runtime: devices.flatMap((device) => Object.values(runtimeFiles[device] ?? {})),
      model: { id: `${id}-${hashOf(model, files)}`, files: [...files].map((file) => modelFilePath(model, file)) },
    });
    return { ready: true, model: id };
  } catch (error) {
    return { ready: false, reason: error instanceof Error ? error.message : String(error) };
  }
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
