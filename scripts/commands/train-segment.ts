import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { SegmentRunConfig } from '../../training/apps/segment-run.node.ts';
import { ensure } from '../../training/core/errors.ts';
import { shortSideOf } from '../../training/data/sizes.ts';
import type { EpochRow } from '../../training/learner/recorder.ts';
import type { Weights } from '../../training/nn/scope.ts';
import { announceDevice, note, report } from '../cli.ts';
import { consoleCallback, spread, stoppable, type TrainOptions } from './train.ts';

type Options = TrainOptions & { readonly out: string };

/** The run that the options ask for, over `defaults`. `--size` is the short side of the last stage; the others keep their proportions to it. */
export function segmentConfig(defaults: SegmentRunConfig, options: TrainOptions): SegmentRunConfig {
  const { size, batch, epochs, lr, seed, classWeights } = options;
  const total = defaults.stages.reduce((sum, stage) => sum + stage.epochs, 0);
  const factor = size === undefined ? 1 : size / shortSideOf(defaults.stages.at(-1)!.size);
  const scaled = ({ width, height }: SegmentRunConfig['validSize']) => ({
    width: Math.round(width * factor),
    height: Math.round(height * factor),
  });
  return {
    ...defaults,
    stages: spread(defaults.stages, epochs ?? total, total).map((stage) => ({ ...stage, size: scaled(stage.size) })),
    validSize: scaled(defaults.validSize),
    batchSize: batch ?? defaults.batchSize,
    lr: lr ?? defaults.lr,
    balance: classWeights ?? defaults.balance,
    seed,
  };
}

/** Weights of a file that a run or an export has written. */
async function startOf(path: string): Promise<Weights> {
  const { readWeightsFile } = await import('../../training/learner/weights/read.node.ts');
  const { tensors } = await readWeightsFile(path);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

/** Throws when an option is for another task. */
export function needSegmentOptions(options: TrainOptions): void {
  const foreign = (['damaged', 'samples', 'loss'] as const).find((name) => options[name] !== undefined);
  ensure(foreign === undefined, 'bad-argument', () => `--${foreign}: expected the task restore, got segment`);
}

/** `epoch 3: train loss 0.6100, accuracy 88.10 %, mean IoU 0.5912, 84 s`: the IoU of each class is in the log. */
export const describeSegmentRow = ({ epoch, trainLoss, metrics, seconds }: EpochRow): string =>
  `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, accuracy ${(100 * metrics.acc_camvid!).toFixed(2)} %, mean IoU ${metrics.iou!.toFixed(4)}, ${seconds.toFixed(0)} s`;

/** `fettle train segment`. */
export async function trainSegment(command: Command, options: Options): Promise<void> {
  needSegmentOptions(options);
  const [{ runSegment, segmentRunDefaults }, { readSegmentFolder }, { openSession }, app, files] = await Promise.all([
    import('../../training/apps/segment-run.node.ts'),
    import('../../training/data/segment/folder.node.ts'),
    import('../../training/run/ort.node.ts'),
    import('../../training/apps/segment.ts'),
    import('../../training/learner/checkpoint.node.ts'),
  ]);
  const config = segmentConfig(segmentRunDefaults, options);
  const data = await readSegmentFolder(options.data, options.seed);
  const device = await announceDevice(options.device);
  const threads = options.threads ?? availableParallelism();
  const silent = command.optsWithGlobals().json === true;
  const start = options.from === undefined ? {} : { start: await startOf(options.from) };
  const result = await stoppable((signal) =>
    runSegment({
      ...start,
      config,
      data,
      out: options.out,
      resume: options.resume === true,
      open: (model) => openSession(model, { device, threads }),
      callbacks: [consoleCallback(silent, describeSegmentRow)],
      onNote: note,
      signal,
      ...(options.workers === undefined ? {} : { workers: options.workers }),
    }),
  );
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
