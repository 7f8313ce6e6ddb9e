import { join } from 'node:path';
import type { Command } from 'commander';
import type { SegmentRunConfig, SegmentRunOptions, SegmentRunResult } from '../../../tasks/segment/recipe.node.ts';
import { ensure } from '../../../training/core/errors.ts';
import type { EpochRow } from '../../../training/loop/recorder.ts';
import type { Weights } from '../../../training/nn/scope.ts';
import { shortSideOf } from '../../../training/pictures/sizes.ts';
import { openerOf, report } from '../cli.ts';
import { growingConfig, runSettings, stoppable, type TrainOptions } from './train.ts';

type Options = TrainOptions & { readonly out: string };

/** The run that the options ask for, over `defaults`. `--size` is the short side of the last stage; the others keep their proportions to it. */
export function segmentConfig(defaults: SegmentRunConfig, options: TrainOptions): SegmentRunConfig {
  const { classWeights = defaults.balance } = options;
  return { ...growingConfig(defaults, options, shortSideOf(defaults.stages.at(-1)!.size)), balance: classWeights };
}

/** Weights of a file that a run or an export has written. */
async function startOf(path: string): Promise<Weights> {
  const { readWeightsFile } = await import('../../../training/weights/read.node.ts');
  const { tensors } = await readWeightsFile(path);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

/** Throws when an option is for another task. */
export function needSegmentOptions(options: TrainOptions): void {
  const foreign = (['damaged', 'samples', 'loss'] as const).find((name) => options[name] !== undefined);
  ensure(foreign === undefined, 'bad-argument', () => `--${foreign}: expected the task restore, got segment`);
}

/** `epoch 3: train loss 0.6100, accuracy 88.10 %, mean IoU 0.5912, 84 s`: the IoU of each class is in the log. */
const describeSegmentRow = ({ epoch, trainLoss, metrics, seconds }: EpochRow): string =>
  `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, accuracy ${(100 * metrics.acc_camvid!).toFixed(2)} %, mean IoU ${metrics.iou!.toFixed(4)}, ${seconds.toFixed(0)} s`;

/** Runs a training from command-line options; shared with `retrain`. */
export async function runFromOptions(
  command: Command,
  options: TrainOptions,
  parts: Omit<SegmentRunOptions, 'resume' | 'signal'>,
): Promise<SegmentRunResult> {
  const { runSegment } = await import('../../../tasks/segment/recipe.node.ts');
  const settings = runSettings(command, options, describeSegmentRow);
  return stoppable((signal) => runSegment({ ...parts, ...settings, signal }));
}

/** `fettle train segment`. */
export async function trainSegment(command: Command, options: Options): Promise<void> {
  needSegmentOptions(options);
  const [{ segmentRunDefaults }, { readSegmentFolder }, app, files] = await Promise.all([
    import('../../../tasks/segment/recipe.node.ts'),
    import('../../../tasks/segment/folder.node.ts'),
    import('../../../tasks/segment/net.ts'),
    import('../../../training/core/durable.node.ts'),
  ]);
  const config = segmentConfig(segmentRunDefaults, options);
  const data = await readSegmentFolder(options.data, options.seed);
  const { open } = await openerOf(options);
  const start = options.from === undefined ? {} : { start: await startOf(options.from) };
  const result = await runFromOptions(command, options, { ...start, config, data, out: options.out, open });
  const { best, rows, weights } = result;
  const path = join(options.out, 'model.onnx');
  const facts = { classes: data.classes, shortSide: shortSideOf(config.validSize) };
  await files.writeDurably(path, app.exportSegment(result.model, weights, facts).model);
  report(
    command,
    { model: path, best, rows },
    `best: epoch ${best.epoch}, accuracy ${(100 * best.metrics.acc_camvid!).toFixed(2)} %, mean IoU ${best.metrics.iou!.toFixed(4)}; ${path}`,
  );
}
