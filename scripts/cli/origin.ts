import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { ModelStore, ModelVersion, NewConfig } from '../../server/store/store.ts';
import { ensure } from '../../training/core/errors.ts';
import { note } from './cli.ts';
import type { TrainOptions } from './commands/train.ts';

/* What `fettle retrain` does alike for all tasks: where weights come from, where the run lies, how the result is registered and put to work. */

export interface RetrainOptions extends TrainOptions {
  readonly from: string;
  readonly store?: string;
  readonly out?: string;
  readonly keepActive: boolean;
}

/** What a task's retraining gets besides its options. */
export interface RetrainPlace {
  readonly store: ModelStore;
  /** The folder of a run that starts from what is so called: `--out`, or the next free one. */
  folder(startedFrom: string): Promise<string>;
}

export async function openStores(dir: string | undefined): Promise<ModelStore> {
  const [{ openStore }, { storeDirOf, zooDir }] = await Promise.all([
    import('../../server/store/store.ts'),
    import('../../server/store/paths.ts'),
  ]);
  return openStore({ zooDir, storeDir: storeDirOf(dir) });
}

/** `base`, or `base-2`, `base-3` ...: the first that holds no run yet; to resume, the last that does. */
export async function freeFolder(base: string, resume: boolean): Promise<string> {
  const { checkpointFiles } = await import('../../training/runs/checkpoint.node.ts');
  const folder = (i: number): string => (i === 1 ? base : `${base}-${i}`);
  let taken = 0;
  const holdsRun = (path: string): boolean =>
    [path, join(path, 'head')].some((one) => existsSync(join(one, checkpointFiles.latest)));
  while (holdsRun(folder(taken + 1))) taken++;
  return folder(resume && taken > 0 ? taken : taken + 1);
}

/** What a new version is made from: a version of the store, or a file that fettle exported. */
export interface Origin {
  /** The model that the new version is one of. */
  readonly name: string;
  /** For people: `segment@1`, or the path. */
  readonly reference: string;
  readonly bytes: Uint8Array;
  /** Undefined for a file. */
  readonly version?: ModelVersion;
  /** What may be done with its weights; undefined where nobody has said. */
  readonly licence: string | undefined;
}

/** The licence of a version; undefined where it has none. */
const licenceIn = async (store: ModelStore, version: ModelVersion): Promise<string | undefined> =>
  'LICENSE' in version.config.files ? new TextDecoder().decode(await store.read(version, 'LICENSE')) : undefined;

/**
 * What may be done with the weights of a file: what is said by the versions of the store that hold the same bytes, and by the LICENSE
 * beside it. If any is for research only, that one counts.
 */
async function licenceOfFile(store: ModelStore, path: string, bytes: Uint8Array): Promise<string | undefined> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const versions = (await store.list()).flatMap((entry) => entry.versions);
  const same = versions.filter(({ config }) => config.files['model.onnx']?.sha256 === sha256);
  const said = await Promise.all([
    ...same.map((version) => licenceIn(store, version)),
    readFile(join(dirname(path), 'LICENSE'), 'utf8').catch(() => undefined),
  ]);
  const licences = said.filter((text) => text !== undefined);
  return licences.find(isResearchOnly) ?? licences[0];
}

/** The model that `from` names. Throws `bad-argument` when it is of another task. */
export async function originOf(store: ModelStore, from: string, task: NewConfig['task']): Promise<Origin> {
  if (from.endsWith('.onnx') && existsSync(from)) {
    const bytes = await readFile(from);
    return { name: task, reference: from, bytes, licence: await licenceOfFile(store, from, bytes) };
  }
  const version = await store.resolve(from);
  const { name, version: number, task: found } = version.config;
  const reference = `${name}@${number}`;
  ensure(
    found === task,
    'bad-argument',
    () => `--from: expected a model of the task ${task}, got ${reference} (${found})`,
  );
  const licence = await licenceIn(store, version);
  return { name, reference, version, bytes: await store.read(version, 'model.onnx'), licence };
}

/** Whether a licence begins with the words that end all use but research. */
export const isResearchOnly = (licence: string | undefined): boolean => /^\s*research only\b/i.test(licence ?? '');

/** The licence of weights that were fine-tuned on the user's own data; what was only for research before stays so. */
export function licenceOf(origin: Origin | undefined, data: string): string {
  const own = `${resolve(data)}, whose terms the user knows`;
  if (origin === undefined) return `Trained from random weights on data of ${own}.\n`;
  const { reference, licence } = origin;
  const first = isResearchOnly(licence) ? 'Research only.\n\n' : '';
  const whole = licence === undefined ? '' : ` It says:\n\n${licence}`;
  return `${first}Fine-tuned from ${reference} on data of ${own}. The licence of ${reference} applies.${whole}\n`;
}

/** What a card says about the licence, in a sentence or two. */
export function licenceNote(origin: Origin | undefined): string {
  if (origin === undefined) return 'Trained on the data above alone, whose terms apply.';
  const { reference, licence } = origin;
  const kind = isResearchOnly(licence) ? ' **Research only**: the model it started from is.' : '';
  return `The weights come from ${reference}, whose licence applies (see LICENSE), and from the data above.${kind}`;
}

/** A word as a shell wants it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The command that is running, as one would type it. */
export const commandLine = (): string => `fettle ${process.argv.slice(2).map(quoted).join(' ')}`;

/** A model that is ready to be registered. */
export interface Retrained {
  readonly origin: Origin | undefined;
  readonly name: string;
  readonly model: Uint8Array;
  readonly card: string;
  /** What was trained on, as given on the command line. */
  readonly data: string;
  /** Task, description, metrics and how the model is fed. */
  readonly config: Pick<NewConfig, 'task' | 'description' | 'metrics'> & Readonly<Record<string, unknown>>;
}

/** Registers a model with its card and licence as the next version of its name. */
export const registerRetrained = (
  store: ModelStore,
  { origin, name, model, card, data, config }: Retrained,
): Promise<ModelVersion> =>
  store.register(
    name,
    { 'model.onnx': model, 'card.md': card, LICENSE: licenceOf(origin, data) },
    { ...config, name, createdAt: new Date().toISOString() },
  );

/** Serves a new version unless it is `worse`, for a `reason` if that is another than the serving version, or the user said not to; returns whether it serves, and says so in words. */
export async function putToWork(
  store: ModelStore,
  { config: { name, version } }: ModelVersion,
  {
    keepActive,
    worse,
    reason = 'worse on the held-out data',
  }: { readonly keepActive: boolean; readonly worse: boolean; readonly reason?: string | undefined },
): Promise<{ readonly active: boolean; readonly words: string }> {
  const active = !keepActive && !worse;
  if (active) await store.use(name, version);
  if (worse)
    note(
      `${name}@${version} is ${reason} and does not serve; fettle models use ${name}@${version} puts it to work all the same`,
    );
  return { active, words: active ? `it serves now; undo with fettle models rollback ${name}` : 'not serving' };
}
