import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { type RunningServer, type ServerOptions, startServer } from '../../server/main.ts';
import { type ModelStore, openStore } from '../../server/store.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';

/** A folder with a store in it, and what goes with it. */
export interface Bench {
  readonly dir: string;
  readonly store: ModelStore;
  /** A server on a free loopback port over that store. */
  start(options?: ServerOptions): Promise<RunningServer>;
  /** Registers the tiny model made from `seed` and makes it the active version; returns its number. */
  publish(seed?: number): Promise<number>;
  /** Stops the servers and removes the folder. */
  end(): Promise<void>;
}

export async function createBench(): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'fettle-server-'));
  const dirs = { zooDir: join(dir, 'zoo'), storeDir: join(dir, 'store') };
  const store = openStore(dirs);
  const servers: RunningServer[] = [];
  return {
    dir,
    store,
    start: async (options = {}) => {
      const quiet = { log: pino({ level: 'silent' }), clientDir: join(dir, 'no-page'), pollMs: 20, workers: 1 };
      const server = await startServer({ ...dirs, port: 0, ...quiet, ...options });
      servers.push(server);
      return server;
    },
    publish: async (seed = 1) => {
      const version = await registerTiny(store, seed);
      await store.use('restore', version);
      return version;
    },
    end: async () => {
      await Promise.all(servers.map((server) => server.close()));
      await rm(dir, { recursive: true });
    },
  };
}

/** Registers the tiny model as the next version of `restore`, without making it active. */
export async function registerTiny(store: ModelStore, seed: number): Promise<number> {
  const { model, spec } = tinyRestoreModel(seed);
  const config = {
    name: 'restore',
    task: 'restore',
    createdAt: new Date(0).toISOString(),
    description: `random weights, seed ${seed}`,
    image: spec,
    metrics: {},
  } as const;
  const files = { 'model.onnx': model, 'card.md': '# Random weights', LICENSE: 'Apache-2.0' };
  return (await store.register('restore', files, config)).config.version;
}

/** Sends bytes to `POST /v1/restore`. */
export async function post(url: string, bytes: Uint8Array, query = '', init: RequestInit = {}): Promise<Response> {
  const form = new FormData();
  form.set('image', new Blob([bytes as Uint8Array<ArrayBuffer>]), 'picture');
  return fetch(`${url}/v1/restore${query}`, { method: 'POST', body: form, ...init });
}

/** The folder of photos for tests, or undefined where there is none. */
export function photosDir(): string | undefined {
  const data = process.env.FETTLE_DATA ?? '../shared/data';
  const dir = resolve(data, 'photos');
  return existsSync(join(dir, 'manifest.json')) ? dir : undefined;
}
