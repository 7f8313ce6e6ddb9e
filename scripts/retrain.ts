import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../server/store/store.ts';
import { specOf } from '../tasks/config.ts';
import type { TaskContract } from '../tasks/task.ts';
import type { Comparison, ExportedModel, Scores, TrainedTask, TrainOptions } from '../tasks/training.node.ts';
import { ensure, FettleError } from '../training/core/errors.ts';
import { checkpointFiles } from '../training/runs/checkpoint.node.ts';
import { note, report } from './cli/cli.ts';
import { type KnownOrigin, licenceNote, licenceOf, originOf } from './cli/origin.ts';
import { placeOf, runPlanned, writeModel } from './cli/running.ts';
import { openStores } from './cli/stores.ts';

/* `fettle retrain TASK`: fine-tunes a model on the user's own data, compares, registers the next version, and serves it unless it is worse. */

export interface RetrainOptions extends TrainOptions {
  readonly from?: string;
  readonly name?: string;
  readonly store?: string;
  readonly out?: string;
  readonly resume?: boolean;
  readonly keepActive?: boolean;
}

/** What the command starts from; undefined for random weights. */
async function startOf(
  store: ModelStore,
  { name: task }: TrainedTask,
  from: string | undefined,
): Promise<KnownOrigin | undefined> {
  if (from === 'none') return undefined;
  try {
    return await originOf(store, from ?? task, task);
  } catch (error) {
    if (from !== undefined || !(error instanceof FettleError) || error.code !== 'not-found') throw error;
    note(`there is no model ${task} to start from yet: training from random weights`);
    return undefined;
  }
}

/** `base`, or `base-2`, `base-3` ...: the first that holds no run yet; to resume, the last that does. */
function freeFolder(base: string, resume: boolean): string {
  const folder = (i: number): string => (i === 1 ? base : `${base}-${i}`);
  let taken = 0;
  const holdsRun = (path: string): boolean =>
    [path, join(path, 'head')].some((one) => existsSync(join(one, checkpointFiles.latest)));
  while (holdsRun(folder(taken + 1))) taken++;
  return folder(resume && taken > 0 ? taken : taken + 1);
}

/** A word as a shell needs it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The command that is running, as one would type it. */
const commandLine = (): string => `fettle ${process.argv.slice(2).map(quoted).join(' ')}`;

/** Scores of the new model, of what it started from, and of the version that serves, with the reason why that one could not be scored. */
async function scoresOf(
  score: (model: Required<ExportedModel<unknown>>) => Promise<unknown>,
  exported: ExportedModel<unknown>,
  versions: { readonly before: ModelVersion | undefined; readonly serving: ModelVersion | undefined },
  { store, contract }: { readonly store: ModelStore; readonly contract: TaskContract },
): Promise<{ readonly scores: Scores<unknown>; readonly uncompared?: string }> {
  const { before: first, serving: active } = versions;
  const hasSpec = Object.keys(contract.sections).length > 0;
  const scoreVersion = async (version: ModelVersion | undefined): Promise<unknown> =>
    version &&
    score({
      model: await store.read(version, 'model.onnx'),
      spec: hasSpec ? specOf(contract, version.config) : undefined,
    });
  const after = await score(exported as Required<ExportedModel<unknown>>);
  const before = await scoreVersion(first);
  if (active?.dir === first?.dir) return { scores: { after, before, serving: before } };
  try {
    return { scores: { after, before, serving: await scoreVersion(active) } };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return { scores: { after, before, serving: undefined }, uncompared: error.message };
  }
}

/** A model that is ready to be registered. */
interface Made {
  readonly name: string;
  readonly contract: TaskContract;
  readonly origin: KnownOrigin | undefined;
  readonly exported: ExportedModel<unknown>;
  readonly card: string;
  readonly comparison: Comparison;
  /** As given on the command line. */
  readonly data: string;
}

/** Registers a model with its card and licence as the next version of its name. */
function register(
  store: ModelStore,
  { name, contract, origin, exported: { model, spec }, card, comparison: { description, metrics }, data }: Made,
): Promise<ModelVersion> {
  const [section] = Object.keys(contract.sections);
  return store.register(
    name,
    { 'model.onnx': model, 'card.md': card, LICENSE: licenceOf(origin, data) },
    {
      name,
      task: contract.name,
      createdAt: new Date().toISOString(),
      description: `${origin ? `fine-tuned from ${origin.reference}` : 'trained'} ${description}`,
      metrics,
      ...(section === undefined ? {} : { [section]: spec }),
    },
  );
}

/** Serves a new version unless it is worse, could not be compared, or the user asked not to; returns whether it serves, and words for that. */
async function activate(
  store: ModelStore,
  { config: { name, version } }: ModelVersion,
  { worse, reason = 'worse on the held-out data' }: Comparison,
  { keepActive = false, uncompared }: { readonly keepActive?: boolean | undefined; readonly uncompared?: string },
): Promise<{ readonly active: boolean; readonly words: string }> {
  const why = uncompared === undefined ? reason : `not compared with the version that serves (${uncompared})`;
  const stays = worse || uncompared !== undefined;
  const active = !keepActive && !stays;
  if (active) await store.use(name, version);
  if (stays)
    note(
      `${name}@${version} is ${why} and does not serve; fettle models use ${name}@${version} serves it all the same`,
    );
  return { active, words: active ? `it serves now; undo with fettle models rollback ${name}` : 'not serving' };
}

/** `fettle retrain TASK`. */
export async function retrain(
  command: Command,
  task: TrainedTask,
  options: RetrainOptions,
  tasks: readonly TrainedTask[],
): Promise<void> {
  const contract = await task.contract();
  const { data, resume } = options;
  ensure(
    options.name !== 'none',
    'bad-argument',
    () => '--name: expected the name of a model, got none; choose another',
  );
  const [store, training] = [await openStores(options.store, tasks), await task.load()];
  const origin = await startOf(store, task, options.from);
  const run = await training.plan(options, { verb: 'retrain', origin, onNote: note });
  const place = await placeOf(options);
  const base = `retrain-${(origin?.reference ?? `${contract.name}-none`).replaceAll(/[^\w-]+/g, '-')}`;
  const out = options.out ?? freeFolder(join('runs', base), resume === true);
  const result = await runPlanned(command, training, run, { ...place, out, resume });

  const exported = training.export(result, run);
  const model = await writeModel(out, exported.model);
  const name = options.name ?? origin?.name ?? contract.name;
  const before = origin?.config && (await store.resolve(origin.reference));
  const serving = await store.resolve(name).catch(() => undefined);
  const score = (model: Required<ExportedModel<unknown>>) => training.score(model, { ...run, ...place }, result);
  const { scores, ...rest } = await scoresOf(score, exported, { before, serving }, { store, contract });
  const comparison = training.compare(result, run, scores, origin);
  const facts = {
    name,
    data: `\`${data}\`: the user's own data; what may be done with it is for the user to know.`,
    command: commandLine(),
    startedFrom: origin?.reference,
    licence: licenceNote(origin),
  };
  const card = training.card(facts, result, run, scores);
  const version = await register(store, { name, contract, origin, exported, card, comparison, data });
  for (const text of comparison.notes) note(text);
  const { active, words } = await activate(store, version, comparison, { keepActive: options.keepActive, ...rest });
  const { dir, config } = version;
  const { details = [], text } = comparison;
  report(
    command,
    { name, version: config.version, active, ...comparison.data, dir, run: out, model },
    [...details, `${name}@${config.version}: ${text}; ${words}; the run is in ${out}`].join('\n'),
  );
}
