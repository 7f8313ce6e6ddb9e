import type { AnyConfig } from '../../tasks/config.ts';
import { contracts } from '../../tasks/contracts.ts';
import { isPictureTask, pictureTasks } from '../../tasks/served.ts';
import { ensure } from '../../training/core/errors.ts';
import type { AnyModelInfo } from '../contract.ts';
import type { ModelEntry, ModelStore, ModelVersion } from '../store/store.ts';
import type { Pool } from './pool.ts';
import type { WorkerModel } from './worker/protocol.ts';

type Task = AnyConfig['task'];

/** Which version answers for each task's route, and how the others come and go while requests run. */
export interface ModelHost {
  /** The loaded version of the model that answers for a task, whose name it has; undefined when none is. */
  loaded(task: Task): ModelVersion | undefined;
  /** Why not all that should serve is loaded, or what should serve for one task; undefined when it is. */
  whyNotReady(task?: Task): string | undefined;
  /** Loads what the store says should serve, where that is not what does; what does not load leaves the old one. */
  sync(): Promise<void>;
  list(): Promise<AnyModelInfo[]>;
  close(): void;
}

export interface HostLog {
  readonly info: (details: object, message: string) => void;
  readonly error: (details: object, message: string) => void;
}

/** What keeps the loaded models of some tasks and runs them. */
export interface ModelHolder {
  /** Loads a version; `read` gives its files, verified. Throws the reason where it cannot. */
  load(version: ModelVersion, read: (file: string) => Promise<Uint8Array>): Promise<void>;
  /** Frees a version (NAME@VERSION) that nothing uses. */
  unload(key: string): void;
  isUsing(key: string): boolean;
}

/** Who holds the models of each task that is served; models of others are listed and not loaded. */
export type ModelHolders = Readonly<Partial<Record<Task, ModelHolder>>>;

export const keyOf = ({ config }: ModelVersion): string => `${config.name}@${config.version}`;

/** workerModel: a version and its model.onnx -> what a worker loads. Throws `bad-model` where config.json does not say how it is fed. */
export function workerModel(version: ModelVersion, model: Uint8Array): WorkerModel {
  const { task } = version.config;
  const spec = isPictureTask(task) ? pictureTasks[task].specOf(version.config) : undefined;
  ensure(spec !== undefined, 'bad-model', () => {
    return `${keyOf(version)}: expected config.json to say how ${task} is fed, got nothing of it`;
  });
  return { task, key: keyOf(version), model, spec } as WorkerModel;
}

/** pictureHolders: the pool for every task that a picture is sent to. */
export function pictureHolders(pool: Pool): ModelHolders {
  const holder: ModelHolder = {
    load: async (version, read) => pool.load(workerModel(version, await read('model.onnx'))),
    unload: (key) => pool.unload(key),
    isUsing: (key) => pool.isUsing(key),
  };
  return Object.fromEntries(Object.keys(pictureTasks).map((task) => [task, holder]));
}

export class StoreHost implements ModelHost {
  readonly #store: ModelStore;
  readonly #holders: ModelHolders;
  readonly #log: HostLog;
  readonly #serving = new Map<string, ModelVersion>();
  /** Versions that should serve and did not load, by the name of their model; the log has the reasons. */
  #failed: ReadonlyMap<string, string> = new Map();
  readonly #retiring = new Map<string, ModelHolder>();
  #syncing: Promise<void> | undefined;
  #again = false;
  readonly #stopWatching: () => void;

  constructor(store: ModelStore, holders: ModelHolders, log: HostLog, pollMs?: number) {
    [this.#store, this.#holders, this.#log] = [store, holders, log];
    this.#stopWatching = store.watch(() => void this.sync(), pollMs);
  }

  loaded(task: Task): ModelVersion | undefined {
    const version = this.#serving.get(task);
    return version?.config.task === task ? version : undefined;
  }

  whyNotReady(task?: Task): string | undefined {
    const missing = [...this.#failed].filter(([name]) => !this.#serving.has(name) && (task ?? name) === name);
    if (missing.length > 0) return `${missing.map(([, key]) => key).join(', ')} did not load; the log says why`;
    if (task === undefined ? this.#serving.size > 0 : this.loaded(task) !== undefined) return undefined;
    const what = task === undefined ? 'model' : `${task} model`;
    return `there is no ${what}; make one with fettle retrain, or choose one with fettle models use`;
  }

  sync(): Promise<void> {
    this.#again = true;
    this.#syncing ??= this.#syncAll().finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  async list(): Promise<AnyModelInfo[]> {
    const entries = await this.#store.list();
    const infos = await Promise.all(entries.map((entry) => this.#describe(entry)));
    return infos.filter((info) => info !== undefined);
  }

  close(): void {
    this.#stopWatching();
  }

  async #syncAll(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        const failed = new Map<string, string>();
        for (const entry of await this.#store.list()) {
          if (!(await this.#follow(entry))) failed.set(entry.name, `${entry.name}@${entry.active}`);
        }
        this.#failed = failed;
      } catch (error) {
        this.#log.error({ err: error }, 'the model store cannot be read');
      }
      this.#retire();
    }
  }

  /** Makes the version serve that should; false when it does not load. */
  async #follow({ name, active, problem }: ModelEntry): Promise<boolean> {
    if (problem !== undefined) this.#log.error({ model: name, problem }, 'which version serves cannot be read');
    const key = `${name}@${active}`;
    const before = this.#serving.get(name);
    if (active === undefined || (before !== undefined && keyOf(before) === key)) return true;
    const retiring = this.#retiring.get(key);
    this.#retiring.delete(key); // it comes back: nobody may free it from here on
    try {
      const version = await this.#store.resolve(key);
      const holder = this.#holders[version.config.task];
      if (holder === undefined) return true;
      await holder.load(version, (file) => this.#store.read(version, file));
      this.#serving.set(name, version);
      if (before !== undefined) this.#retiring.set(keyOf(before), this.#holders[before.config.task]!);
      this.#log.info({ model: key, before: before && keyOf(before) }, 'model serves');
      return true;
    } catch (error) {
      if (retiring !== undefined) this.#retiring.set(key, retiring);
      this.#log.error(
        { model: key, serving: before && keyOf(before), err: error },
        'model did not load; nothing changes',
      );
      return false;
    }
  }

  /** Frees versions that no longer serve as soon as no request uses them. */
  #retire(): void {
    for (const [key, holder] of this.#retiring) {
      if (holder.isUsing(key)) continue;
      this.#retiring.delete(key);
      holder.unload(key);
    }
    if (this.#retiring.size > 0) setTimeout(() => this.#retire(), 1000).unref();
  }

  async #describe(entry: ModelEntry): Promise<AnyModelInfo | undefined> {
    const loaded = this.#serving.get(entry.name);
    const shown = loaded ?? entry.versions.find((one) => one.config.version === entry.active) ?? entry.versions.at(-1);
    if (shown === undefined) return undefined;
    const { createdAt: _at, metrics: _numbers, ...config } = shown.config;
    const card = await this.#store.read(shown, 'card.md').then(
      (bytes) => Buffer.from(bytes).toString(),
      () => '',
    );
    return {
      ...config,
      active: loaded !== undefined,
      inputs: contracts.find(({ name }) => name === config.task)?.inputs ?? [],
      card,
      versions: entry.versions.map((one) => one.config.version),
    };
  }
}
