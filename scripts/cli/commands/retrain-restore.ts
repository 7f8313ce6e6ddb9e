import type { Command } from 'commander';
import type { ModelStore, ModelVersion } from '../../../server/store/store.ts';
import type { ImageModelSpec } from '../../../tasks/pictures.ts';
import { restoreCard } from '../../../tasks/restore/card.ts';
import type { RestoreRunConfig, RestoreRunResult } from '../../../tasks/restore/recipe.node.ts';
import { note, report } from '../cli.ts';
import {
  commandLine,
  licenceNote,
  type Origin,
  originOf,
  putToWork,
  type RetrainOptions,
  type RetrainPlace,
  registerRetrained,
} from '../origin.ts';
import { runConfig, runFromOptions } from './train.ts';

/** Fewer held-out pictures than this do not tell which model is better. */
const fewPictures = 10;

/** How much held-out PSNR, in dB, a new version may lose against the one it came from and still be put to work. */
const toleranceDb = 0.02;

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

/** `fettle retrain restore`. */
export async function retrainRestore(
  command: Command,
  options: RetrainOptions,
  { store, folder }: RetrainPlace,
): Promise<void> {
  const [{ restoreRunDefaults }, app, { initializersOf }] = await Promise.all([
    import('../../../tasks/restore/recipe.node.ts'),
    import('../../../tasks/restore/net.ts'),
    import('../../../training/onnx/weights.ts'),
  ]);
  const origin = await originOf(store, options.from, 'restore');
  const config = runConfig(retrainDefaults(restoreRunDefaults, app.restoreConfigOf(origin.bytes)), options);
  const out = await folder(origin.reference);
  const result = await runFromOptions(command, config, options, out, initializersOf(origin.bytes));
  const exported = app.exportRestore(config.model, result.weights);
  const version = await registerVersion(store, origin, exported, config, result, options);
  await tell(command, store, origin, version, result, options);
}

function registerVersion(
  store: ModelStore,
  origin: Origin,
  { model, spec }: { readonly model: Uint8Array; readonly spec: ImageModelSpec },
  config: RestoreRunConfig,
  result: RestoreRunResult,
  { data }: RetrainOptions,
): Promise<ModelVersion> {
  const { name, reference } = origin;
  const facts = {
    title: `${name}, fine-tuned`,
    data: `Photos of \`${data}\`. They are the user's; what may be done with them is for the user to know.`,
    licence: licenceNote(origin),
    command: commandLine(),
    startedFrom: reference,
  };
  const { metrics } = result.best;
  return registerRetrained(store, {
    origin,
    name,
    model,
    data,
    card: restoreCard(facts, config, result),
    config: {
      task: 'restore',
      description: `fine-tuned from ${reference} on ${result.trained} pictures`,
      image: spec,
      metrics: {
        heldOutPsnrDb: metrics.psnr!,
        heldOutInputPsnrDb: metrics.input_psnr!,
        undamagedPsnrDb: metrics.undamaged_psnr!,
        ...(result.before ? { startPsnrDb: result.before.psnr! } : {}),
      },
    },
  });
}

/** Serves the new version unless it is worse than the old one on the held-out pictures, and says what came of it. */
async function tell(
  command: Command,
  store: ModelStore,
  { reference }: Origin,
  version: ModelVersion,
  result: RestoreRunResult,
  { keepActive }: RetrainOptions,
): Promise<void> {
  const { name, version: number } = version.config;
  const [before, after] = [result.before?.psnr ?? Number.NaN, result.best.metrics.psnr!];
  if (result.heldOut.length < fewPictures)
    note(`only ${result.heldOut.length} held out: the comparison means little; more pictures would make it sure`);
  const { active, words } = await putToWork(store, version, { keepActive, worse: after < before - toleranceDb });
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
    `${name}@${number}: ${after.toFixed(2)} dB on ${result.heldOut.length} held out, ${reference} had ${before.toFixed(2)} dB; ${words}`,
  );
}
