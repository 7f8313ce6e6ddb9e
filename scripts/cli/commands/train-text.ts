import { join } from 'node:path';
import type { Command } from 'commander';
import type { TextRunConfig, TextRunOptions, TextRunResult } from '../../../tasks/text/recipe.node.ts';
import { ensure } from '../../../training/core/errors.ts';
import type { EpochRow } from '../../../training/loop/recorder.ts';
import { openerOf, report } from '../cli.ts';
import type { TextOptions } from './text-options.ts';
import { runSettings, stoppable, type TrainOptions } from './train.ts';

export type TextCommandOptions = TrainOptions & TextOptions & { readonly out: string };

/** The run that the options ask for, over `defaults`. */
export function textConfig(defaults: TextRunConfig, options: TextCommandOptions): TextRunConfig {
  const { vocab, width, hidden, bptt, batch, epochs, lr, seed } = options;
  const sizes = { ...(width === undefined ? {} : { width }), ...(hidden === undefined ? {} : { hidden }) };
  return {
    ...defaults,
    model: { ...defaults.model, ...sizes },
    maxVocab: vocab ?? defaults.maxVocab,
    batchSize: batch ?? defaults.batchSize,
    bptt: bptt ?? defaults.bptt,
    epochs: epochs ?? defaults.epochs,
    lr: lr ?? defaults.lr,
    seed,
  };
}

/** `epoch 3: train loss 4.91, perplexity 112.3, accuracy 0.271, 840 s`. */
export const describeTextRow = ({ epoch, trainLoss, metrics, seconds }: EpochRow): string =>
  `epoch ${epoch}: train loss ${trainLoss.toFixed(4)}, perplexity ${metrics.perplexity!.toFixed(2)}, accuracy ${metrics.accuracy!.toFixed(4)}, ${seconds.toFixed(0)} s`;

/** Runs a training from command-line options; shared with `retrain`. */
export async function runTextFromOptions(
  command: Command,
  options: TextCommandOptions,
  run: Pick<TextRunOptions, 'config' | 'data'> & Partial<Pick<TextRunOptions, 'start'>>,
): Promise<TextRunResult> {
  const { runText } = await import('../../../tasks/text/recipe.node.ts');
  const { device, open } = await openerOf(options);
  const { workers: _, ...settings } = runSettings(command, options, describeTextRow);
  return stoppable((signal) =>
    runText({
      ...run,
      out: options.out,
      open,
      loops: device === 'cpu' ? 'scan' : 'unrolled',
      ...settings,
      signal,
      ...(options.prompt === undefined ? {} : { prompts: [options.prompt] }),
    }),
  );
}

/** Throws when an option is for another task. */
export function needTextOptions(options: TrainOptions): void {
  const foreign = (['damaged', 'samples', 'loss', 'size'] as const).find((name) => options[name] !== undefined);
  ensure(foreign === undefined, 'bad-argument', () => `--${foreign}: expected the task restore, got text`);
}

/** `fettle train text`. */
export async function trainText(command: Command, options: TextCommandOptions): Promise<void> {
  needTextOptions(options);
  const [{ textRunDefaults }, { readTextFolder }] = await Promise.all([
    import('../../../tasks/text/recipe.node.ts'),
    import('../../../training/text/read-texts.node.ts'),
  ]);
  const config = textConfig(textRunDefaults, options);
  const threads = options.workers === undefined ? {} : { workers: options.workers };
  const { train, valid } = await readTextFolder(options.data, threads);
  const data = valid === undefined ? train.split(0.1) : { train, valid };
  const { best, rows, unknown } = await runTextFromOptions(command, options, { config, data });
  const path = join(options.out, 'model.onnx');
  report(
    command,
    { model: path, best, rows, unknown },
    `best: epoch ${best.epoch}, perplexity ${best.metrics.perplexity!.toFixed(2)}; ${path}`,
  );
}
