import { FettleError } from '../training/core/errors.ts';
import type { ModelInfo } from './contract.ts';
import type { Pool } from './pool.ts';
import type { ModelEntry, ModelStore, ModelVersion } from './store.ts';

/** Which version answers for each task's route, and how the others come and go while requests run. */
export interface ModelHost {
  /** The loaded version of a model; undefined when none is. */
  loaded(name: string): ModelVersion | undefined;
  /** Why nothing is loaded; undefined when something is. */
  whyNotReady(): string | undefined;
  /** Loads what the store says should serve, where that is not what does; what does not load leaves the old one. */
  sync(): Promise<void>;
  list(): Promise<ModelInfo[]>;
  close(): void;
}

export interface HostLog {
  readonly info: (details: object, message: string) => void;
  readonly error: (details: object, message: string) => void;
}

/** Tasks that a route answers; models of others are listed and not loaded. */
const servedTasks: ReadonlySet<ModelVersion['config']['task']> = new Set(['restore']);

export const keyOf = ({ config }: ModelVersion): string => `${config.name}@${config.version}`;

export class StoreHost implements ModelHost {
  readonly #store: ModelStore;
  readonly #pool: Pool;
  readonly #log: HostLog;
  readonly #serving = new Map<string, ModelVersion>();
  /** Versions that did not load; the log has the reasons. */
  readonly #failed = new Set<string>();
  readonly #retiring = new Set<string>();
  #syncing: Promise<void> | undefined;
  #again = false;
  readonly #stopWatching: () => void;

  constructor(store: ModelStore, pool: Pool, log: HostLog, pollMs?: number) {
    [this.#store, this.#pool, this.#log] = [store, pool, log];
    this.#stopWatching = store.watch(() => void this.sync(), pollMs);
  }

  loaded(name: string): ModelVersion | undefined {
    return this.#serving.get(name);
  }

  whyNotReady(): string | undefined {
    if (this.#serving.size > 0) return undefined;
    if (this.#failed.size > 0) return `${[...this.#failed].join(', ')} did not load; the log says why`;
    return 'there is no model; make one with fettle retrain, or choose one with fettle models use';
  }

  sync(): Promise<void> {
    this.#again = true;
    this.#syncing ??= this.#syncAll().finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  async list(): Promise<ModelInfo[]> {
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
        for (const entry of await this.#store.list()) await this.#follow(entry);
      } catch (error) {
        this.#log.error({ err: error }, 'the model store cannot be read');
      }
      this.#retire();
    }
  }

  async #follow({ name, active, problem }: ModelEntry): Promise<void> {
    if (problem !== undefined) this.#log.error({ model: name, problem }, 'which version serves cannot be read');
    const key = `${name}@${active}`;
    const before = this.#serving.get(name);
    if (active === undefined || (before !== undefined && keyOf(before) === key)) return;
    const wasRetiring = this.#retiring.delete(key); // it comes back: nobody may free it from here on
    try {
      const version = await this.#store.resolve(key);
      if (!servedTasks.has(version.config.task)) return;
      await this.#load(version);
      this.#serving.set(name, version);
      this.#failed.delete(key);
      if (before !== undefined) this.#retiring.add(keyOf(before));
      this.#log.info({ model: key, before: before && keyOf(before) }, 'model serves');
    } catch (error) {
      if (wasRetiring) this.#retiring.add(key);
      this.#failed.add(key);
      this.#log.error(
        { model: key, serving: before && keyOf(before), err: error },
        'model did not load; nothing changes',
      );
    }
  }

  async #load(version: ModelVersion): Promise<void> {
    const spec = version.config.image;
    if (spec === undefined) throw new FettleError('bad-model', `${keyOf(version)}: expected config.image, got none`);
    await this.#pool.load({ key: keyOf(version), model: await this.#store.read(version, 'model.onnx'), spec });
  }

  /** Frees versions that no longer serve as soon as no request uses them. */
  #retire(): void {
    for (const key of this.#retiring) {
      if (this.#pool.isUsing(key)) continue;
      this.#retiring.delete(key);
      this.#pool.unload(key);
    }
    if (this.#retiring.size > 0) setTimeout(() => this.#retire(), 1000).unref();
  }

  async #describe(entry: ModelEntry): Promise<ModelInfo | undefined> {
    const loaded = this.#serving.get(entry.name);
    const shown = loaded ?? entry.versions.find((one) => one.config.version === entry.active) ?? entry.versions.at(-1);
    if (shown === undefined) return undefined;
    const { name, task, version, image, files } = shown.config;
    const card = await this.#store.read(shown, 'card.md').then(
      (bytes) => Buffer.from(bytes).toString(),
      () => '',
    );
    return {
      name,
      task,
      version,
      active: loaded !== undefined,
      inputs: [task === 'text' ? { name: 'prompt', type: 'text' } : { name: 'image', type: 'image' }],
      card,
      versions: entry.versions.map((one) => one.config.version),
      ...(image === undefined ? {} : { image }),
      files,
    };
  }
}
