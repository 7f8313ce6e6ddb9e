import { join } from 'node:path';
import type { Command } from 'commander';
import { percent, photosOf } from '../../../tasks/classify/card.ts';
import type { ClassifyData } from '../../../tasks/classify/data.node.ts';
import type { ClassifyRunConfig, ClassifyRunResult, ClassifyStart } from '../../../tasks/classify/recipe.node.ts';
import { ensure } from '../../../training/core/errors.ts';
import type { OpenGraph } from '../../../training/loop/compile.ts';
import type { EpochRow } from '../../../training/loop/recorder.ts';
import { openerOf, report } from '../cli.ts';
import { growingConfig, runSettings, stoppable, type TrainOptions } from './train.ts';

/** The run that the options ask for, over `defaults`. `--size` is the side that is served; the stages keep their proportions to it. */
export function classifyConfig(defaults: ClassifyRunConfig, options: TrainOptions): ClassifyRunConfig {
  const { samples = defaults.samplesPerEpoch } = options;
  return { ...growingConfig(defaults, options, defaults.validSize.height), samplesPerEpoch: samples };
}

/** Throws when an option is for another task. */
export function needClassifyOptions(options: TrainOptions): void {
  const foreign = (['damaged', 'loss', 'classWeights'] as const).find((name) => options[name] !== undefined);
  ensure(foreign === undefined, 'bad-argument', () => {
    return foreign === 'classWeights'
      ? '--class-weights: expected the task segment, got classify'
      : `--${foreign}: expected the task restore, got classify`;
  });
}

const describeClassifyRow = ({ epoch, trainLoss, metrics, seconds }: EpochRow): string =>
  `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, valid loss ${metrics.valid_loss!.toFixed(4)}, accuracy ${percent(metrics.accuracy!)}, ${seconds.toFixed(0)} s`;

/** What a run on the command line is made of. */
export interface ClassifyRunParts {
  readonly config: ClassifyRunConfig;
  readonly data: ClassifyData;
  readonly out: string;
  readonly open: OpenGraph;
  readonly start?: ClassifyStart;
}

/** Runs a training from command-line options; shared with `retrain`. */
export async function runFromOptions(
  command: Command,
  options: TrainOptions,
  parts: ClassifyRunParts,
): Promise<ClassifyRunResult> {
  const { runClassify } = await import('../../../tasks/classify/recipe.node.ts');
  const settings = runSettings(command, options, describeClassifyRow);
  return stoppable((signal) => runClassify({ ...parts, ...settings, signal }));
}

/** `fettle train classify`. */
export async function trainClassify(command: Command, options: TrainOptions & { readonly out: string }): Promise<void> {
  needClassifyOptions(options);
  ensure(options.from === undefined, 'bad-argument', () => {
    return '--from: expected the task segment, got classify; fettle retrain classify starts from a model';
  });
  const [{ classifyRunDefaults }, { readClassifyFolder }, { exportClassify }, { writeDurably }] = await Promise.all([
    import('../../../tasks/classify/recipe.node.ts'),
    import('../../../tasks/classify/data.node.ts'),
    import('../../../tasks/classify/net.ts'),
    import('../../../training/core/durable.node.ts'),
  ]);
  const config = classifyConfig(classifyRunDefaults, options);
  const data = await readClassifyFolder(options.data, options.seed);
  const { open } = await openerOf(options);
  const result = await runFromOptions(command, options, { config, data, out: options.out, open });
  const path = join(options.out, 'model.onnx');
  const facts = { ...config.validSize, resize: config.resize, classes: data.classes };
  await writeDurably(path, exportClassify(result.model, result.weights, facts).model);
  const { accuracy, majority, rows } = result;
  report(
    command,
    { model: path, classes: data.classes, accuracy, majority, report: result.report, rows },
    `accuracy ${percent(accuracy)} on ${photosOf(result)} held out (always the most frequent class: ${percent(majority)}); ${path}, pictures beside it`,
  );
}
