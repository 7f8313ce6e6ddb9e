import type { TaskContract } from '../../tasks/task.ts';
import type { AnyModelInfo } from '../contract.ts';
import { RequestError } from '../errors.ts';
import { type ModelEntry, type ModelStore, type ModelVersion, parseReference } from '../store/store.ts';
import { keyOf } from './pictures.ts';
import type { Pool } from './pool.ts';
import type { ServedTask } from './task.ts';
import type { Work } from './worker/protocol.ts';

/** Which version of each model answers, and how the others come and go while requests run. */
export interface ModelHost {
  /** The loaded version of a model; undefined when none is. */
  loaded(name: string): ModelVersion | undefined;
  /** The loaded version that answers for a task where a request names no model: that of the model with the task's name. */
  defaultOf(task: string): ModelVersion | undefined;
  /**
   * The loaded version that answers a request for NAME or NAME@VERSION, or for no model in particular. Throws a RequestError where there is
   * none, or it is of another task.
   */
  pick(task: string, reference?: string): ModelVersion;
  /** Names of the loaded models of a task. */
  namesOf(task: string): readonly string[];
  /** Why not all models that should serve are loaded, or this one is not; undefined when it is. */
  unavailableReason(name?: string): string | undefined;
  /** Loads what the store states should serve, where that is not what does; what does not load leaves the old one. */
  sync(): Promise<void>;
  list(): Promise<AnyModelInfo[]>;
  close(): void;
}

export interface HostLog {
  readonly info: (details: object, message: string) => void;
  readonly error: (details: object, message: string) => void;
}

/** What keeps the loaded models of a kind of task and runs them. */
export interface ModelHolder {
  /** Loads a version; `model` are the verified bytes of its model.onnx. Throws the reason where it cannot. */
  load(contract: TaskContract, version: ModelVersion, model: Uint8Array): Promise<void>;
  /** Frees a version (NAME@VERSION) that nothing uses. */
  unload(key: string): void;
  isUsing(key: string): boolean;
}

export type ModelHolders = Readonly<Record<ServedTask['kind'], ModelHolder>>;

/** holderOf: a pool, and how a version becomes what its workers load. */
export const holderOf = <W extends Work>(
  pool: Pool<W>,
  modelOf: (contract: TaskContract, version: ModelVersion, model: Uint8Array) => W['model'],
): ModelHolder => ({
  load: (contract, version, model) => pool.load(modelOf(contract, version, model)),
  unload: (key) => pool.unload(key),
  isUsing: (key) => pool.isUsing(key),
});

export interface HostOptions {
  readonly store: ModelStore;
  readonly tasks: readonly ServedTask[];
  readonly holders: ModelHolders;
  readonly log: HostLog;
  /** How often the store is looked at for a changed active version. */
  readonly pollMs?: number | undefined;
}

interface Serving {
  readonly version: ModelVersion;
  readonly holder: ModelHolder;
}

export class StoreHost implements ModelHost {
  readonly #store: ModelStore;
  readonly #tasks: readonly ServedTask[];
  readonly #holders: ModelHolders;
  readonly #log: HostLog;
  /** By the name of the model. */
  readonly #serving = new Map<string, Serving>();
  /** Versions that should serve and did not load, by the name of their model; the log has the reasons. */
  #failed: ReadonlyMap<string, string> = new Map();
  readonly #retiring = new Map<string, ModelHolder>();
  #syncing: Promise<void> | undefined;
  #again = false;
  readonly #stopWatching: () => void;

  constructor({ store, tasks, holders, log, pollMs }: HostOptions) {
    [this.#store, this.#tasks, this.#holders, this.#log] = [store, tasks, holders, log];
    this.#stopWatching = store.watch(() => void this.sync(), pollMs);
  }

  loaded(name: string): ModelVersion | undefined {
    return this.#serving.get(name)?.version;
  }

  defaultOf(task: string): ModelVersion | undefined {
    return this.loaded(task);
  }

  pick(task: string, reference?: string): ModelVersion {
    const { name, version } = reference === undefined ? { name: task } : parseAsked(reference);
    const loaded = this.loaded(name);
    if (loaded === undefined && (reference === undefined || this.#failed.has(name))) throw this.#notReady(task, name);
    const others = this.namesOf(task).join(', ') || 'none';
    if (loaded === undefined) {
      const text = `model: expected an active model of the task ${task} (${others}), got ${name}; fettle models use ${name}@VERSION makes a version active`;
      throw new RequestError('model-not-found', text);
    }
    if (loaded.config.task !== task) {
      const text = `model: expected a model of the task ${task} (${others}), got ${name}, which is of the task ${loaded.config.task}`;
      throw new RequestError('model-not-found', text);
    }
    if (version === undefined || version === loaded.config.version) return loaded;
    const text = `model: expected ${name} or ${keyOf(loaded)}, which is active, got ${reference}; fettle models use ${reference} makes it active`;
    throw new RequestError('model-not-active', text);
  }

  namesOf(task: string): readonly string[] {
    return [...this.#serving].filter(([, { version }]) => version.config.task === task).map(([name]) => name);
  }

  unavailableReason(name?: string): string | undefined {
    const missing = [...this.#failed].filter(([one]) => !this.#serving.has(one) && (name ?? one) === one);
    if (missing.length > 0) return `${missing.map(([, key]) => key).join(', ')} did not load; the log has the reason`;
    if (name === undefined ? this.#serving.size > 0 : this.#serving.has(name)) return undefined;
    const what = name === undefined ? 'model' : `${name} model`;
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

  #notReady(task: string, name: string): RequestError {
    const others = this.namesOf(task);
    const wayOut = others.length === 0 ? '' : `; or ask for model=${others.join(' or model=')}`;
    const reason = `${this.unavailableReason(name) ?? `no ${task} model is loaded`}${wayOut}`;
    return new RequestError('not-ready', `cannot ${task} yet: ${reason}`, { retryAfterSeconds: 10 });
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
    const serving = before && keyOf(before.version);
    if (active === undefined || serving === key) return true;
    const retiring = this.#retiring.get(key);
    this.#retiring.delete(key); // it comes back: nobody may free it from here on
    try {
      const version = await this.#store.resolve(key);
      const task = this.#tasks.find(({ contract }) => contract.name === version.config.task);
      if (task === undefined) return true;
      const holder = this.#holders[task.kind];
      await holder.load(task.contract, version, await this.#store.read(version, 'model.onnx'));
      this.#serving.set(name, { version, holder });
      if (before !== undefined && serving !== undefined) this.#retiring.set(serving, before.holder);
      this.#log.info({ model: key, before: serving }, 'model serves');
      return true;
    } catch (error) {
      if (retiring !== undefined) this.#retiring.set(key, retiring);
      this.#log.error({ model: key, serving, err: error }, 'model did not load; nothing changes');
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
    const loaded = this.loaded(entry.name);
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
      inputs: this.#tasks.find(({ contract }) => contract.name === config.task)?.contract.inputs ?? [],
      card,
      versions: entry.versions.map((one) => one.config.version),
    };
  }
}

/** What a request asks for. */
function parseAsked(reference: string): ReturnType<typeof parseReference> {
  try {
    return parseReference(reference);
  } catch {
    throw new RequestError('model-not-found', `model: expected NAME or NAME@VERSION, got ${reference.slice(0, 80)}`);
  }
}
