import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../../server/store.ts';
import type { RestoreRunConfig, RestoreRunResult } from '../../training/apps/restore-run.node.ts';
import { note, report } from '../cli.ts';
import { restoreCard } from '../model-card.ts';
import type { RetrainTextOptions } from './retrain-text.ts';
import { textOptions } from './text-options.ts';
import { checkTask, runConfig, runFromOptions, type TrainOptions, trainOptions } from './train.ts';

export interface RetrainOptions extends TrainOptions {
  readonly from: string;
  readonly store?: string;
  readonly out?: string;
  readonly keepActive: boolean;
}

/** Fewer held-out pictures than this do not tell which model is better. */
const fewPictures = 10;

/** How much held-out PSNR, in dB, a new version may lose against the one it came from and still be put to work. */
const toleranceDb = 0.02;

/** `fettle retrain TASK`. */
export function register(program: Command): void {
  const command = program
    .command('retrain')
    .description(
      'fine-tune a served model on your own photos or posts, compare, register the next version and serve it',
    )
    .argument('<task>', 'restore or text');
  textOptions(trainOptions(command))
    .option('--column <name>', 'of text: where the text is in a table of posts (default: text, full_text, content …)')
    .option('--until <date>', 'of text: posts of this day and later are left out')
    .option('--from <name[@v]>', 'the model to start from (default: TASK); of text also a model.onnx')
    .option('--store <dir>', 'where trained models are (FETTLE_STORE, else ./fettle-models)')
    .option(
      '--out <dir>',
      'folder of the run: checkpoints, log.csv, pictures (default: runs/retrain-NAME-VERSION, numbered)',
    )
    .option('--keep-active', 'register the new version, but do not serve it', false);
  command.action(async (task: string, given: Omit<RetrainTextOptions, 'from'> & { readonly from?: string }) => {
    const options = { from: task, ...given };
    if (task !== 'text') return run(command, task, options);
    const { retrainText } = await import('./retrain-text.ts');
    const folder = (name: string) => freeFolder(join('runs', `retrain-${name}`), options.resume === true);
    await retrainText(command, options, await openStores(options.store), folder);
  });
}

/** Short and gentle: the model knows its work already. */
function retrainDefaults(base: RestoreRunConfig, model: RestoreRunConfig['model']): RestoreRunConfig {
  return {
    ...base,
    model,
    stages: [{ epochs: 5, size: 128, batchSize: 8 }],
    samplesPerEpoch: 800,
    lr: 3e-4,
    pctStart: 0.3,
  };
}

async function openStores(dir: string | undefined): Promise<ModelStore> {
  const [{ openStore }, { storeDirOf, zooDir }] = await Promise.all([
    import('../../server/store.ts'),
    import('../../server/paths.ts'),
  ]);
  return openStore({ zooDir, storeDir: storeDirOf(dir) });
}

async function run(command: Command, task: string, options: RetrainOptions): Promise<void> {
  checkTask(command, task);
  const [{ restoreRunDefaults }, app, { initializersOf }] = await Promise.all([
    import('../../training/apps/restore-run.node.ts'),
    import('../../training/apps/restore.node.ts'),
    import('../../training/onnx/weights.ts'),
  ]);
  const store = await openStores(options.store);
  const from = await store.resolve(options.from);
  const bytes = await store.read(from, 'model.onnx');
  const config = runConfig(retrainDefaults(restoreRunDefaults, app.restoreConfigOf(bytes)), options);
  const out =
    options.out ??
    (await freeFolder(join('runs', `retrain-${from.config.name}-${from.config.version}`), options.resume === true));
  const result = await runFromOptions(command, config, options, out, initializersOf(bytes));
  const exported = app.exportRestore(config.model, result.weights);
  const version = await registerVersion(store, from, exported, config, result, options);
  await putToWork(command, store, from, version, result, options);
}

/** `base`, or `base-2`, `base-3` ...: the first that holds no run yet; to resume, the last that does. */
async function freeFolder(base: string, resume: boolean): Promise<string> {
  const { checkpointFiles } = await import('../../training/learner/checkpoint.node.ts');
  const folder = (i: number): string => (i === 1 ? base : `${base}-${i}`);
  let taken = 0;
  const holdsRun = (path: string): boolean =>
    [path, join(path, 'head')].some((one) => existsSync(join(one, checkpointFiles.latest)));
  while (holdsRun(folder(taken + 1))) taken++;
  return folder(resume && taken > 0 ? taken : taken + 1);
}

/** A word as a shell wants it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

async function registerVersion(
  store: ModelStore,
  from: ModelVersion,
  exported: { readonly model: Uint8Array; readonly spec: NonNullable<ModelVersion['config']['image']> },
  config: RestoreRunConfig,
  result: RestoreRunResult,
  options: RetrainOptions,
): Promise<ModelVersion> {
  const base = `${from.config.name}@${from.config.version}`;
  const facts = {
    title: `${from.config.name}, fine-tuned`,
    data: `Photos of \`${options.data}\`. They are the user's; what may be done with them is for the user to know.`,
    licence: `The weights come from ${base}, whose licence applies (see its card), and from the pictures above.`,
    command: `fettle ${process.argv.slice(2).map(quoted).join(' ')}`,
    startedFrom: base,
  };
  const { metrics } = result.best;
  const licence = `Fine-tuned from ${base} on pictures of ${resolve(options.data)}.\n${facts.licence}\n`;
  return store.register(
    from.config.name,
    { 'model.onnx': exported.model, 'card.md': restoreCard(facts, config, result), LICENSE: licence },
    {
      name: from.config.name,
      task: 'restore',
      createdAt: new Date().toISOString(),
      description: `fine-tuned from ${base} on ${result.trained} pictures`,
      image: exported.spec,
      metrics: {
        heldOutPsnrDb: metrics.psnr!,
        heldOutInputPsnrDb: metrics.input_psnr!,
        undamagedPsnrDb: metrics.undamaged_psnr!,
        ...(result.before ? { startPsnrDb: result.before.psnr! } : {}),
      },
    },
  );
}

/** Serves the new version unless it is worse than the old one on the held-out pictures, or the user said not to. */
async function putToWork(
  command: Command,
  store: ModelStore,
  from: ModelVersion,
  version: ModelVersion,
  result: RestoreRunResult,
  options: RetrainOptions,
): Promise<void> {
  const { name, version: number } = version.config;
  const [before, after] = [result.before?.psnr ?? Number.NaN, result.best.metrics.psnr!];
  const worse = after < before - toleranceDb;
  const active = !options.keepActive && !worse;
  if (result.heldOut.length < fewPictures)
    note(`only ${result.heldOut.length} held out: the comparison means little; more pictures would make it sure`);
  if (active) await store.use(name, number);
  if (worse)
    note(
      `${name}@${number} is worse on the held-out pictures and does not serve; fettle models use ${name}@${number} would`,
    );
  const text = `${name}@${number}: ${after.toFixed(2)} dB on ${result.heldOut.length} held out, ${from.config.name}@${from.config.version} had ${before.toFixed(2)} dB; ${active ? `it serves now; undo with fettle models rollback ${name}` : 'not serving'}`;
  report(
    command,
    {
      name,
      version: number,
      active,
      before: result.before,
      after: result.best.metrics,
      failures: result.failures,
      dir: version.dir,
    },
    text,
  );
}
