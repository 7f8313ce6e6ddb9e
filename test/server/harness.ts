import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import sharp from 'sharp';
import type { ErrorBody } from '../../server/contract.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../server/main.ts';
import { type ModelStore, openStore } from '../../server/store.ts';
import type { ImageModelSpec } from '../../training/core/model-config.ts';
import { symDim } from '../../training/core/shape.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import * as o from '../../training/ops/build.ts';
import { buildInference } from '../../training/step/train-step.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';

export interface TestModel {
  readonly model: Uint8Array;
  readonly spec: ImageModelSpec;
}

/** A folder with a store in it, and what goes with it. */
export interface Bench {
  readonly dir: string;
  readonly store: ModelStore;
  /** A server on a free loopback port over that store. */
  start(options?: ServerOptions): Promise<RunningServer>;
  /** Registers a model and makes it the active version; returns its number. */
  publish(model?: TestModel): Promise<number>;
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
    publish: async (model = tinyRestoreModel()) => {
      const version = await register(store, model);
      await store.use('restore', version);
      return version;
    },
    end: async () => {
      await Promise.all(servers.map((server) => server.close()));
      await rm(dir, { recursive: true });
    },
  };
}

/** Registers a model as the next version of `restore`, without making it active. */
export async function register(store: ModelStore, { model, spec }: TestModel): Promise<number> {
  const config = {
    name: 'restore',
    task: 'restore',
    createdAt: new Date(0).toISOString(),
    description: 'for a test',
    image: spec,
    metrics: {},
  } as const;
  const files = { 'model.onnx': model, 'card.md': '# For a test', LICENSE: 'Apache-2.0' };
  return (await store.register('restore', files, config)).config.version;
}

/** A model whose output is its input: what comes back shows what everything around models does to a picture. */
export function identityModel(): TestModel {
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, symDim('H', 8), symDim('W', 8)] }] as const;
  const graph = buildInference('identity', inputs, new Map(), (_scope, { image }) => ({
    restored: o.clip(image!, 0, 1),
  }));
  const normalisation = { mean: [0, 0, 0], std: [1, 1, 1] };
  const spec = { inputName: 'image', outputName: 'restored', multipleOf: 8, halo: 0, normalisation };
  return { model: toOnnx(graph), spec };
}

/** Sends bytes to `POST /v1/restore`. */
export async function post(url: string, bytes: Uint8Array, query = '', init: RequestInit = {}): Promise<Response> {
  const form = new FormData();
  form.set('image', new Blob([bytes as Uint8Array<ArrayBuffer>]), 'picture');
  return fetch(`${url}/v1/restore${query}`, { method: 'POST', body: form, ...init });
}

/** Resolves when `condition` holds; mocha's own time-out ends a wait for something that never comes. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The folder of photos for tests, or undefined where there is none. */
export function photosDir(): string | undefined {
  const data = process.env.FETTLE_DATA ?? '../shared/data';
  const dir = resolve(data, 'photos');
  return existsSync(join(dir, 'manifest.json')) ? dir : undefined;
}

/** A grey PNG. */
export const flat = (width: number, height: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: '#777' } })
    .png()
    .toBuffer();

/** The error of an answer that must have this status and carry the id of its request. */
export async function errorOf(response: Response, status: number): Promise<ErrorBody['error']> {
  const body = (await response.json()) as ErrorBody;
  expect(response.status, JSON.stringify(body)).to.equal(status);
  expect(body.requestId).to.equal(response.headers.get('x-request-id'));
  return body.error;
}
