import { join } from 'node:path';
import type { Command } from 'commander';
import type { RestoreRunConfig, RestoreRunResult } from '../../../tasks/restore/recipe.node.ts';
import { FettleError } from '../../../training/core/errors.ts';
import type { Callback } from '../../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../../training/loop/recorder.ts';
import type { Size } from '../../../training/pictures/sizes.ts';
import type { NodeDevice } from '../../../training/run/ort.node.ts';
import type { SizeStage } from '../../../training/runs/stages.ts';
import { deviceOption, note, openerOf, parseWhole, report } from '../cli.ts';
import { createProgress } from '../progress.ts';
import { textOptions } from './text-options.ts';

/** Options that `train` and `retrain` share. */
export interface TrainOptions {
  readonly data: string;
  readonly damaged?: string;
  readonly device: NodeDevice | 'auto';
  readonly size?: number;
  readonly batch?: number;
  readonly epochs?: number;
  readonly samples?: number;
  readonly lr?: number;
  readonly loss?: 'mse' | 'l1';
  readonly classWeights?: number;
  readonly seed: number;
  readonly from?: string;
  readonly threads?: number;
  readonly workers?: number;
  readonly resume?: boolean;
}

const choice =
  <T extends string>(option: string, names: readonly T[]) =>
  (text: string): T => {
    const found = names.find((name) => name === text);
    if (found === undefined)
      throw new FettleError('bad-argument', `${option}: expected ${names.join(' or ')}, got ${text}`);
    return found;
  };

const positive =
  (option: string) =>
  (text: string): number => {
    const value = Number(text);
    if (!(value > 0) || !Number.isFinite(value))
      throw new FettleError('bad-argument', `${option}: expected a number above 0, got ${text}`);
    return value;
  };

const share =
  (option: string) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0 && value <= 1))
      throw new FettleError('bad-argument', `${option}: expected a number 0..1, got ${text}`);
    return value;
  };

/** Runs `body` with a signal that Ctrl-C (or SIGTERM) aborts; a second one ends the process at once. */
export async function stoppable<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const release = (): void => signals.forEach((name) => void process.off(name, stop));
  const stop = (): void => {
    release();
    note('stopping after this batch and saving; once more ends at once');
    controller.abort();
  };
  for (const name of signals) process.on(name, stop);
  try {
    return await body(controller.signal);
  } finally {
    release();
  }
}

/** What --data is, by task. */
const dataHelp =
  'folder; of restore: photos; of segment: images, masks and classes.json; of classify: a folder of photos for each class; of text: .txt or .txt.gz files; of retrain text: posts in .csv, .jsonl, .json, .txt or an archive’s tweets.js';

export function trainOptions(command: Command): Command {
  return deviceOption(command)
    .requiredOption('--data <dir>', dataHelp)
    .option('--damaged <dir>', 'of restore: damaged copies of the same names; without it photos are damaged on the fly')
    .option(
      '--size <n>',
      'pixels; of restore: side of the square crops; of segment: short side of the last photos; of classify: side that is served (default: smaller ones first, then larger)',
      parseWhole('--size', 32, 1024),
    )
    .option(
      '--batch <n>',
      'of restore: crops per step; of segment and classify: photos; of text: texts',
      parseWhole('--batch', 1, 512),
    )
    .option(
      '--epochs <n>',
      'passes, each ending in a line of metrics and a checkpoint; retrain text adds one before them, of which only the last layer learns',
      parseWhole('--epochs', 1, 100000),
    )
    .option('--samples <n>', 'of restore: crops per epoch; of classify: photos', parseWhole('--samples', 1, 10_000_000))
    .option('--lr <x>', 'highest learning rate of the one-cycle schedule', positive('--lr'))
    .option('--loss <name>', 'of restore: l1 or mse', choice('--loss', ['l1', 'mse']))
    .option(
      '--class-weights <power>',
      'of segment: weight of rare classes, (median share / share)^power: 0 all alike, 1 in full',
      share('--class-weights'),
    )
    .option('--seed <n>', 'same seed, same result on the same machine type', parseWhole('--seed', 0, 2 ** 31), 1)
    .option(
      '--threads <n>',
      'threads of the arithmetic; on a busy machine one does more than several that wait for each other (default: all cores)',
      parseWhole('--threads', 1, 256),
    )
    .option('--workers <n>', 'threads that decode photos and damage or augment them', parseWhole('--workers', 1, 64))
    .option('--resume', 'go on from the checkpoint in --out; without one, begin');
}

/** The run that the options ask for, over `defaults`. */
export function runConfig(defaults: RestoreRunConfig, options: TrainOptions): RestoreRunConfig {
  const { size, batch, epochs, samples, lr, loss, seed } = options;
  const total = defaults.stages.reduce((sum, stage) => sum + stage.epochs, 0);
  const scaled = epochs === undefined ? defaults.stages : spread(defaults.stages, epochs, total);
  const stages = (
    size === undefined ? scaled : [{ epochs: epochs ?? total, size, batchSize: scaled[0]!.batchSize }]
  ).map((stage) => ({
    ...stage,
    batchSize: batch ?? stage.batchSize,
  }));
  return {
    ...defaults,
    stages,
    samplesPerEpoch: samples ?? defaults.samplesPerEpoch,
    lr: lr ?? defaults.lr,
    loss: loss ?? defaults.loss,
    seed,
  };
}

/** The stages in the same proportions over `epochs` epochs; stages that get none are left out. */
export function spread<T extends { readonly epochs: number }>(
  stages: readonly T[],
  epochs: number,
  total: number,
): T[] {
  let before = 0;
  let done = 0;
  return stages
    .map((stage) => {
      before += stage.epochs;
      const until = Math.round((before / total) * epochs);
      const share = until - done;
      done = until;
      return { ...stage, epochs: share };
    })
    .filter((stage) => stage.epochs > 0);
}

/** A line per epoch, and batch progress within it. */
function consoleCallback(silent: boolean, describe: (row: EpochRow) => string): Callback {
  let bar = createProgress('epoch', { silent });
  return {
    name: 'console',
    numbers: [],
    beforeEpoch: ({ progress }) => {
      bar = createProgress(`epoch ${progress.epoch}`, { silent });
    },
    afterBatch: ({ progress, batches }) => bar.update(progress.batch, batches),
    afterEpoch: ({ row }) => {
      bar.stop();
      if (!silent) process.stdout.write(`${describe(row!)}\n`);
    },
    afterStop: () => bar.stop(),
  };
}

/** What the options say of any run: whether it goes on, what it tells of itself, its threads for pictures. */
export function runSettings(command: Command, { resume, workers }: TrainOptions, describe: (row: EpochRow) => string) {
  return {
    resume: resume === true,
    callbacks: [consoleCallback(command.optsWithGlobals().json === true, describe)],
    onNote: note,
    ...(workers === undefined ? {} : { workers }),
  };
}

/** Settings of a run whose pictures grow from stage to stage. */
interface GrowingRun {
  readonly stages: readonly SizeStage[];
  readonly validSize: Size;
  readonly batchSize: number;
  readonly lr: number;
  readonly seed: number;
}

/** The run that the options ask for, over `defaults`: `--size` is instead of `side` pixels, and all sizes keep their proportions to it. */
export function growingConfig<Run extends GrowingRun>(defaults: Run, options: TrainOptions, side: number): Run {
  const { size, batch, epochs, lr, seed } = options;
  const total = defaults.stages.reduce((sum, stage) => sum + stage.epochs, 0);
  const factor = (size ?? side) / side;
  const scaled = ({ width, height }: Size): Size => ({
    width: Math.round(width * factor),
    height: Math.round(height * factor),
  });
  return {
    ...defaults,
    stages: spread(defaults.stages, epochs ?? total, total).map((stage) => ({ ...stage, size: scaled(stage.size) })),
    validSize: scaled(defaults.validSize),
    batchSize: batch ?? defaults.batchSize,
    lr: lr ?? defaults.lr,
    seed,
  };
}

/** Runs a training from command-line options; shared with `retrain`. */
export async function runFromOptions(
  command: Command,
  config: RestoreRunConfig,
  options: TrainOptions,
  out: string,
  start?: ReadonlyMap<string, Float32Array>,
): Promise<RestoreRunResult> {
  const [{ runRestore }, { describeRow }] = await Promise.all([
    import('../../../tasks/restore/recipe.node.ts'),
    import('../../../training/loop/recorder.ts'),
  ]);
  const { open } = await openerOf(options);
  const run = {
    config,
    data: options.data,
    out,
    open,
    ...runSettings(command, options, describeRow),
    ...(options.damaged === undefined ? {} : { damaged: options.damaged }),
    ...(start === undefined ? {} : { start }),
  };
  return stoppable((signal) => runRestore({ ...run, signal }));
}

/** What trains each task but restore; loaded when it is asked for. */
const tasks: Readonly<
  Record<string, () => Promise<(command: Command, options: TrainOptions & { readonly out: string }) => Promise<void>>>
> = {
  segment: async () => (await import('./train-segment.ts')).trainSegment,
  classify: async () => (await import('./train-classify.ts')).trainClassify,
  text: async () => (await import('./train-text.ts')).trainText,
};

/** `fettle train TASK`. */
export function register(program: Command): void {
  const command = program
    .command('train')
    .description('train a model from scratch on a folder of photos or texts')
    .argument('<task>', 'restore, segment, classify or text');
  textOptions(trainOptions(command))
    .option('--out <dir>', 'folder of the run: checkpoints, log.csv, pictures, model.onnx (default: runs/TASK)')
    .option('--from <file>', 'of segment: weights to start from, the best.safetensors of a run or a model.onnx');
  command.action(async (task: string, { out = join('runs', task), ...options }: TrainOptions & { out?: string }) => {
    const load = Object.hasOwn(tasks, task) ? tasks[task] : undefined;
    if (load !== undefined) return (await load())(command, { ...options, out });
    return run(command, task, { ...options, out });
  });
}

async function run(command: Command, task: string, options: TrainOptions & { readonly out: string }): Promise<void> {
  if (task !== 'restore') {
    const names = ['restore', ...Object.keys(tasks)].join(', ');
    throw new FettleError('unsupported', `train: expected one of ${names}, got ${task}`);
  }
  if (options.from !== undefined)
    throw new FettleError('bad-argument', `--from: expected the task segment, got ${task}; fettle retrain fine-tunes`);
  const [{ restoreRunDefaults }, { exportRestore }, { writeDurably }] = await Promise.all([
    import('../../../tasks/restore/recipe.node.ts'),
    import('../../../tasks/restore/net.ts'),
    import('../../../training/core/durable.node.ts'),
  ]);
  const config = runConfig(restoreRunDefaults, options);
  const result = await runFromOptions(command, config, options, options.out);
  const path = join(options.out, 'model.onnx');
  await writeDurably(path, exportRestore(config.model, result.weights).model);
  const { best } = result;
  report(
    command,
    { model: path, best, rows: result.rows, failures: result.failures },
    `best: epoch ${best.epoch}, ${best.metrics.psnr?.toFixed(2)} dB; ${path}`,
  );
}
