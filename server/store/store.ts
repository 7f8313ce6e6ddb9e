import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnyConfig, configSchema, type FileEntry, fileName, modelName } from '../../tasks/config.ts';
import { contracts } from '../../tasks/contracts.ts';
import type { TaskContract } from '../../tasks/task.ts';
import { syncFolder, writeDurably, writeSynced } from '../../training/core/durable.node.ts';
import { ensure, FettleError, messageOf } from '../../training/core/errors.ts';
import { explainError } from '../../training/core/explain.ts';
import { type ActiveFile, activeFile } from '../contract.ts';
import {
  ignoreMissing,
  type ModelVersion,
  parseJson,
  readRegular,
  readVersion,
  sha256Of,
  subfolders,
  versionFolders,
} from './versions.ts';

export type { ModelVersion } from './versions.ts';

/** A model: its versions ascending, the one that should serve, and folders that are no valid version. */
export interface ModelEntry {
  readonly name: string;
  readonly active: number | undefined;
  /** Why active.json cannot state which; undefined when it can. */
  readonly problem?: string;
  readonly versions: readonly ModelVersion[];
  readonly broken: readonly { readonly version: number; readonly reason: string }[];
}

/** `config.json` without what {@link ModelStore.register} fills in: the common part, and the section of the task. */
export type NewConfig = Omit<AnyConfig, 'files' | 'version'> & Readonly<Record<string, unknown>>;

/** The models of the package (`zooDir`, read-only) with those of the user (`storeDir`) laid over them. */
export interface ModelStore {
  list(): Promise<ModelEntry[]>;
  /** 'NAME' is the active version. Throws `not-found`. */
  resolve(reference: string): Promise<ModelVersion>;
  /** A file of a version, checked against its size and sha256. Throws `bad-model`. */
  read(version: ModelVersion, file: string): Promise<Uint8Array>;
  /** Makes a version the active one. */
  use(name: string, version: number): Promise<void>;
  /** Makes the version active that was so before; returns its number. */
  rollback(name: string): Promise<number>;
  /** Deletes a version of the store that is not active. */
  remove(name: string, version: number): Promise<void>;
  /** Writes `files` (with at least model.onnx and card.md) as the next version; does not make it active. */
  register(
    name: string,
    files: Readonly<Record<string, Uint8Array | string>>,
    config: NewConfig,
  ): Promise<ModelVersion>;
  /** Calls back soon after the start, and whenever a model's active version changes on disk, by whatever process; returns how to stop. */
  watch(onChange: () => void, intervalMs?: number): () => void;
}

/** 'NAME' or 'NAME@VERSION' -> its parts. */
export function parseReference(reference: string): { readonly name: string; readonly version?: number } {
  const match = /^([a-z][a-z0-9-]*)(?:@([1-9]\d{0,8}))?$/.exec(reference);
  ensure(match !== null, 'bad-argument', () => `model: expected NAME or NAME@VERSION, got ${reference}`);
  const [, name = '', version] = match;
  return version === undefined ? { name } : { name, version: Number(version) };
}

/** Where models lie, and the contracts of the tasks that they may be of: fettle's own by default. */
export interface StoreOptions {
  readonly zooDir: string;
  readonly storeDir: string;
  readonly tasks?: readonly TaskContract[];
}

export const openStore = (options: StoreOptions): ModelStore => new FolderStore(options);

class FolderStore implements ModelStore {
  readonly #zooDir: string;
  readonly #storeDir: string;
  readonly #config: ReturnType<typeof configSchema>;
  readonly #tasks: ReadonlySet<string>;

  constructor({ zooDir, storeDir, tasks = contracts }: StoreOptions) {
    this.#zooDir = zooDir;
    this.#storeDir = storeDir;
    this.#tasks = new Set(tasks.map(({ name }) => name));
    this.#config = configSchema(tasks);
  }

  async list(): Promise<ModelEntry[]> {
    const names = await Promise.all([this.#zooDir, this.#storeDir].map(subfolders));
    const known = [...new Set(names.flat())].filter((name) => modelName.safeParse(name).success).sort();
    const entries = await Promise.all(known.map((name) => this.#entry(name)));
    return entries.filter((entry) => entry.versions.length + entry.broken.length > 0);
  }

  async resolve(reference: string): Promise<ModelVersion> {
    const { name, version } = parseReference(reference);
    const entry = await this.#entry(name);
    ensure(version !== undefined || entry.problem === undefined, 'bad-model', () => entry.problem ?? '');
    const wanted = version ?? entry.active;
    const found = entry.versions.find((one) => one.config.version === wanted);
    if (found !== undefined) return found;
    const broken = entry.broken.find((one) => one.version === wanted);
    ensure(broken === undefined, 'bad-model', () => `${name}@${wanted}: ${broken?.reason}`);
    const there = entry.versions.map((one) => `${name}@${one.config.version}`).join(', ') || 'no version of it';
    throw new FettleError(
      'not-found',
      `model: expected ${reference} in zoo or store, got ${there}; see fettle models list`,
    );
  }

  async read(version: ModelVersion, file: string): Promise<Uint8Array> {
    const { name, version: number, files } = version.config;
    const entry = Object.hasOwn(files, file) ? files[file] : undefined;
    ensure(entry !== undefined, 'not-found', () => {
      return `${name}@${number}: expected one of the files ${Object.keys(files).join(', ')}, got ${file}`;
    });
    const bytes = await readRegular(join(version.dir, file), entry.sizeBytes);
    const sha256 = bytes === undefined ? 'another size' : await sha256Of(bytes);
    ensure(bytes !== undefined && sha256 === entry.sha256, 'bad-model', () => {
      return `${name}@${number}: expected ${file} to have sha256 ${entry.sha256}, got ${sha256}; the file was changed`;
    });
    return bytes;
  }

  async use(name: string, version: number): Promise<void> {
    await this.resolve(`${name}@${version}`);
    const before = await this.#active(name);
    if (before.version === version) return;
    const history = before.version === null ? before.history : [...before.history, before.version];
    await this.#setActive(name, { ...before, version, history: history.slice(-100) });
  }

  async rollback(name: string): Promise<number> {
    const before = await this.#active(name);
    const there = new Set((await this.#entry(name)).versions.map((one) => one.config.version));
    const history = before.history.filter((version) => there.has(version));
    const version = history.pop();
    ensure(version !== undefined, 'not-found', () => {
      return `${name}: expected a version that served before, got none; see fettle models list`;
    });
    await this.#setActive(name, { ...before, version, history });
    return version;
  }

  async remove(name: string, version: number): Promise<void> {
    const found = await this.resolve(`${name}@${version}`);
    const active = await this.#active(name);
    ensure(
      found.origin === 'store',
      'bad-argument',
      () => `${name}@${version}: expected a version of the store, got one of the package`,
    );
    ensure(active.version !== version, 'bad-argument', () => {
      return `${name}@${version}: expected a version that does not serve, got the active one; use another one first`;
    });
    const history = active.history.filter((one) => one !== version);
    await this.#setActive(name, { ...active, history, highest: Math.max(active.highest, version) });
    const trash = join(this.#storeDir, name, temporaryName());
    await rename(found.dir, trash);
    await rm(trash, { recursive: true });
  }

  async register(
    name: string,
    files: Readonly<Record<string, Uint8Array | string>>,
    config: NewConfig,
  ): Promise<ModelVersion> {
    checkNew(this.#config, name, files, config);
    const task = this.#taskOf(name, (await this.#entry(name)).versions);
    ensure(task === undefined || task === config.task, 'bad-argument', () => {
      return `register: expected a version of the task ${task} for the name ${name}, got one of ${config.task}; choose another name`;
    });
    const modelDir = join(this.#storeDir, name);
    await mkdir(modelDir, { recursive: true });
    const temporary = join(modelDir, temporaryName());
    await mkdir(temporary);
    try {
      const entries: Record<string, FileEntry> = {};
      for (const [file, content] of Object.entries(files)) {
        const bytes = typeof content === 'string' ? Buffer.from(content) : content;
        await writeSynced(join(temporary, file), bytes);
        entries[file] = { sha256: await sha256Of(bytes), sizeBytes: bytes.byteLength };
      }
      return await this.#publish(name, temporary, { ...config, files: entries });
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  watch(onChange: () => void, intervalMs = 500): () => void {
    let seen: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    let stopped = false;
    const look = async (): Promise<void> => {
      const now = await this.#signature().catch(() => seen);
      if (stopped) return;
      if (now !== seen) onChange();
      seen = now;
      timer = setTimeout(look, intervalMs).unref();
    };
    void look();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }

  /** Renames the finished folder to the next free number; another process may have taken it a moment before. */
  async #publish(name: string, temporary: string, config: Omit<AnyConfig, 'version'>): Promise<ModelVersion> {
    const modelDir = join(this.#storeDir, name);
    const numbers = [...(await versionFolders(join(this.#zooDir, name))), ...(await versionFolders(modelDir))];
    const first = 1 + Math.max((await this.#active(name)).highest, 0, ...numbers);
    for (let version = first; version < first + 100; version++) {
      const whole: AnyConfig = { ...config, version };
      await writeSynced(join(temporary, 'config.json'), Buffer.from(`${JSON.stringify(whole, null, 2)}\n`));
      await syncFolder(temporary);
      const dir = join(modelDir, String(version));
      if (!(await renameToNew(temporary, dir))) continue;
      await syncFolder(modelDir);
      await syncFolder(this.#storeDir);
      return { dir, origin: 'store', config: whole };
    }
    throw new FettleError('exists', `register: expected a free version number from ${first}, got none`);
  }

  async #entry(name: string): Promise<ModelEntry> {
    const versions = new Map<number, ModelVersion>();
    const broken = new Map<number, string>();
    for (const [root, origin] of [
      [this.#zooDir, 'zoo'],
      [this.#storeDir, 'store'],
    ] as const) {
      for (const number of await versionFolders(join(root, name))) {
        const found = await readVersion(this.#config, join(root, name, String(number)), origin, name, number);
        if (typeof found === 'string') broken.set(number, found);
        else versions.set(number, found);
      }
    }
    const found = [...versions.values()].sort((a, b) => a.config.version - b.config.version);
    const task = this.#taskOf(name, found);
    const ascending = found.filter(({ config }) => config.task === task);
    for (const { config } of found.filter((one) => !ascending.includes(one)))
      broken.set(
        config.version,
        `config.json states the task ${config.task}, expected ${task}; use another name for it`,
      );
    const reasons = [...broken].map(([version, reason]) => ({ version, reason }));
    try {
      return { name, active: (await this.#active(name)).version ?? undefined, versions: ascending, broken: reasons };
    } catch (error) {
      const problem = messageOf(error);
      return { name, active: undefined, problem, versions: ascending, broken: reasons };
    }
  }

  /** The task of all versions of a model: the one that it is named like, else that of the first. */
  #taskOf(name: string, versions: readonly ModelVersion[]): string | undefined {
    return this.#tasks.has(name) ? name : versions[0]?.config.task;
  }

  /** What active.json states; where there is none, the package's highest version serves. */
  async #active(name: string): Promise<ActiveFile> {
    const path = join(this.#storeDir, name, 'active.json');
    const content = await readFile(path, 'utf8').catch(ignoreMissing);
    if (content === undefined) {
      const shipped = await versionFolders(join(this.#zooDir, name));
      return { version: shipped.length > 0 ? Math.max(...shipped) : null, history: [], highest: 0 };
    }
    const parsed = activeFile.safeParse(parseJson(content));
    ensure(
      parsed.success,
      'bad-model',
      () => `store: expected ${path} to state what serves, got ${content.slice(0, 80)}; choose with fettle models use`,
    );
    return parsed.data;
  }

  async #setActive(name: string, active: ActiveFile): Promise<void> {
    const dir = join(this.#storeDir, name);
    await mkdir(dir, { recursive: true });
    await writeDurably(join(dir, 'active.json'), `${JSON.stringify(active)}\n`);
  }

  /** Changes when any active.json is replaced. */
  async #signature(): Promise<string> {
    const names = await subfolders(this.#storeDir);
    const stats = await Promise.all(
      names.map((name) => stat(join(this.#storeDir, name, 'active.json'), { bigint: true }).catch(() => undefined)),
    );
    return names.map((name, i) => `${name}:${stats[i]?.ino}:${stats[i]?.mtimeNs}`).join('|');
  }
}

const temporaryName = (): string => `.tmp-${process.pid}-${randomUUID()}`;

function checkNew(
  schema: ReturnType<typeof configSchema>,
  name: string,
  files: Readonly<Record<string, unknown>>,
  config: NewConfig,
): void {
  ensure(modelName.safeParse(name).success && config.name === name, 'bad-argument', () => {
    return `register: expected a name of a-z, 0-9 and - that the config repeats, got ${name} and ${config.name}`;
  });
  const bad = Object.keys(files).filter((file) => file === 'config.json' || !fileName.safeParse(file).success);
  ensure(
    bad.length === 0,
    'bad-argument',
    () => `register: expected plain file names besides config.json, got ${bad.join(', ')}`,
  );
  for (const needed of ['model.onnx', 'card.md']) {
    ensure(
      Object.hasOwn(files, needed),
      'bad-argument',
      () => `register: expected ${needed} among the files, got ${Object.keys(files)}`,
    );
  }
  const value = { ...config, version: 1, files: {} };
  const { error } = schema.safeParse(value);
  ensure(error === undefined, 'bad-argument', () => `register: config: ${explainError(error!, value)}`);
}

/** Renames unless `to` exists. Renaming a folder onto one that is not empty fails on every system, so nothing is lost. */
async function renameToNew(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(String(error.code)))
      return false;
    throw error;
  }
}
