import type { Express } from 'express';
import { type Logger, pino } from 'pino';
import { knownKeys, namesOf } from '../training/core/known-keys.ts';
import type { Device } from '../training/run/session.ts';
import { createApp } from './http/app.ts';
import { holderOf, StoreHost } from './serve/host.ts';
import { createPicturePool, keyOf, ownTasks, pictureModel } from './serve/pictures.ts';
import type { ServedModule } from './serve/task.ts';
import { createTextPool } from './serve/texts.ts';
import { clientDir, storeDirOf, zooDir } from './store/paths.ts';
import { openStore } from './store/store.ts';

export interface ServiceOptions {
  /** Where trained models are; `FETTLE_STORE`, else `./fettle-models`, by default. */
  readonly storeDir?: string;
  /** The models that ship with the package, by default. */
  readonly zooDir?: string;
  /** Folder of the built pages; the package's by default. */
  readonly clientDir?: string;
  /** `cpu` by default. */
  readonly device?: Device;
  /** Worker threads for pictures; a quarter of the cores, at least 2, by default. */
  readonly workers?: number;
  /** Requests that may be uploading, waiting or running at once; 16 more than workers (64 for texts) by default. */
  readonly capacity?: number;
  readonly log?: Logger;
  /** How often the store is looked at for a changed active version. */
  readonly pollMs?: number;
  /** Steps by which the thread that writes texts yields to the one that serves HTTP, 0..19; 10 by default. */
  readonly niceness?: number;
  /** A module that exports the table of tasks, `servedTasks`; the worker threads load it too. fettle's own tasks by default. */
  readonly tasks?: URL;
  /** The script of the workers for pictures; another one only in tests. */
  readonly workerScript?: URL;
}

const serviceNames = namesOf<ServiceOptions>({
  storeDir: true,
  zooDir: true,
  clientDir: true,
  device: true,
  workers: true,
  capacity: true,
  log: true,
  pollMs: true,
  niceness: true,
  tasks: true,
  workerScript: true,
});

/** The routes and pages of fettle for an Express app. */
export interface Service {
  /** Mount it anywhere: `existing.use('/photos', service.app)`. It answers all requests that reach it, with its own errors and headers. */
  readonly app: Express;
  /** Requests that are uploading, waiting or running. */
  inFlight(): number;
  /** From now on requests are refused with `draining`, and /health/ready states so; those in flight continue. */
  drain(): void;
  /** Ends the worker threads; what is still in flight fails. */
  close(): Promise<void>;
}

/**
 * createService: loads the models that should serve and starts their worker threads. Without a model it starts too, and is not ready. Services of one
 * process have their own threads and may share a store; only one of them may use WebGPU, whose device belongs to the process.
 */
export async function createService(options: ServiceOptions = {}): Promise<Service> {
  knownKeys('createService', options, serviceNames);
  const log = options.log ?? pino({ name: 'fettle' });
  const { servedTasks: tasks } = (await import((options.tasks ?? ownTasks).href)) as ServedModule;
  const store = openStore({
    zooDir: options.zooDir ?? zooDir,
    storeDir: storeDirOf(options.storeDir),
    tasks: tasks.map(({ contract }) => contract),
  });
  const [pictures, texts] = [createPicturePool({ ...options, log }), createTextPool({ ...options, log })];
  const holders = {
    picture: holderOf(pictures, pictureModel),
    text: holderOf(texts, (_contract, version, model) => ({ key: keyOf(version), model })),
  };
  const host = new StoreHost({ store, tasks, holders, log, pollMs: options.pollMs });
  await host.sync();
  let draining = false;
  const pages = options.clientDir ?? clientDir;
  return {
    app: createApp({ store, host, tasks, pictures, texts, log, clientDir: pages, isDraining: () => draining }),
    inFlight: () => pictures.admission.held + texts.admission.held,
    drain: () => {
      draining = true;
    },
    close: async () => {
      draining = true;
      host.close();
      await Promise.all([pictures.close(), texts.close()]);
    },
  };
}
