import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import sharp from 'sharp';
import type { ErrorBody } from '../../server/contract.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../server/main.ts';
import { type ModelStore, openStore } from '../../server/store/store.ts';
import type { ClassifyModelSpec } from '../../tasks/classify/contract.ts';
import type { SegmentModelSpec } from '../../tasks/segment/contract.ts';
import type { PictureTask, RowOf } from '../../tasks/served.ts';
import type { SpecOf } from '../../tasks/task.ts';
import { anyDim, symDim } from '../../training/core/shape.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import * as o from '../../training/ops/build.ts';
import { buildInference } from '../../training/step/train-step.ts';
import { dataFolder } from '../helpers/data.ts';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';

export interface TestModel<T extends PictureTask = 'restore'> {
  readonly model: Uint8Array;
  readonly spec: SpecOf<RowOf<T>['contract']>;
}

/** A folder with a store in it, and what goes with it. */
export interface Bench {
  readonly dir: string;
  readonly store: ModelStore;
  /** A server on a free loopback port over that store. */
  start(options?: ServerOptions): Promise<RunningServer>;
  /** Registers a model of `restore` and makes it the active version; returns its number. */
  publish(model?: TestModel): Promise<number>;
  /** The same for any task; a small model where none is given. */
  publishFor<T extends PictureTask>(task: T, model?: TestModel<T>, name?: string): Promise<number>;
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
    publish: (model) => publish(store, 'restore', model),
    publishFor: (task, model, name) => publish(store, task, model, name),
    end: async () => {
      await Promise.all(servers.map((server) => server.close()));
      await rm(dir, { recursive: true });
    },
  };
}

/** A small model of each task. */
export const smallModels: { readonly [T in PictureTask]: () => TestModel<T> } = {
  restore: tinyRestoreModel,
  segment: brightestChannel,
  classify: meanColour,
};

async function publish<T extends PictureTask>(
  store: ModelStore,
  task: T,
  model?: TestModel<T>,
  name: string = task,
): Promise<number> {
  const version = await registerFor(store, task, model ?? smallModels[task](), name);
  await store.use(name, version);
  return version;
}

/** Registers a model as the next version of `restore`, without making it active. */
export const register = (store: ModelStore, model: TestModel): Promise<number> => registerFor(store, 'restore', model);

const sections = { restore: 'image', segment: 'segment', classify: 'classify' } as const;

async function registerFor<T extends PictureTask>(
  store: ModelStore,
  task: T,
  { model, spec }: TestModel<T>,
  name: string = task,
): Promise<number> {
  const facts = { createdAt: new Date(0).toISOString(), description: 'for a test', metrics: {} };
  const files = { 'model.onnx': model, 'card.md': '# For a test', LICENSE: 'Apache-2.0' };
  return (await store.register(name, files, { name, task, ...facts, [sections[task]]: spec })).config.version;
}

const plain = { mean: [0, 0, 0], std: [1, 1, 1] };

/** A segmentation net whose classes are the channels: every pixel is of the one that it has most of. */
export function brightestChannel(): TestModel<'segment'> {
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, anyDim('H'), anyDim('W')] }] as const;
  const graph = buildInference('channels', inputs, new Map(), (_scope, { image }) => ({
    probabilities: o.softmax(o.mul(image!, 20), 1),
  }));
  const classes: SegmentModelSpec['classes'] = [
    { name: 'red', color: [255, 0, 0] },
    { name: 'green', color: [0, 200, 0] },
    { name: 'blue', color: [0, 0, 100] },
  ];
  const names = { inputName: 'image', outputName: 'probabilities' };
  return { model: toOnnx(graph), spec: { ...names, shortSide: 64, classes, normalisation: plain } };
}

/** A classifier that tells which channel a picture has most of. */
export function meanColour(): TestModel<'classify'> {
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, 24, 32] }] as const;
  const graph = buildInference('colour', inputs, new Map(), (_scope, { image }) => ({
    probabilities: o.softmax(o.mul(o.reduceMean(image!, { axes: [2, 3] }), 10), 1),
  }));
  const names = { inputName: 'image', outputName: 'probabilities' };
  const spec: ClassifyModelSpec = {
    ...names,
    width: 32,
    height: 24,
    resize: 'squish',
    classes: ['red', 'green', 'blue'],
    normalisation: plain,
  };
  return { model: toOnnx(graph), spec };
}

/** A model whose output is its input: what comes back shows what everything around models does to a picture. */
export function identityModel(): TestModel {
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, symDim('H', 8), symDim('W', 8)] }] as const;
  const graph = buildInference('identity', inputs, new Map(), (_scope, { image }) => ({
    restored: o.clip(image!, 0, 1),
  }));
  const spec = { inputName: 'image', outputName: 'restored', multipleOf: 8, halo: 0, normalisation: plain };
  return { model: toOnnx(graph), spec };
}

/** Sends bytes to the route of a task. */
export async function send(
  task: PictureTask,
  url: string,
  bytes: Uint8Array,
  query = '',
  init: RequestInit = {},
): Promise<Response> {
  const form = new FormData();
  form.set('image', new Blob([bytes as Uint8Array<ArrayBuffer>]), 'picture');
  return fetch(`${url}/v1/${task}${query}`, { method: 'POST', body: form, ...init });
}

/** Sends bytes to `POST /v1/restore`. */
export const post = (url: string, bytes: Uint8Array, query?: string, init?: RequestInit): Promise<Response> =>
  send('restore', url, bytes, query, init);

/** Resolves when `condition` holds; mocha's own time-out ends a wait for something that never comes. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The folder of photos for tests, or undefined where there is none. */
export function photosDir(): string | undefined {
  return dataFolder('photos/manifest.json') && dataFolder('photos');
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
