import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { RunPlace, Training, TrainOptions } from '../../tasks/training.node.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import type { EpochRow } from '../../training/loop/recorder.ts';
import { note, openerOf, wantsJson } from './cli.ts';
import { createProgress } from './progress.ts';

/* What the commands that train do alike. */

/** Runs `body` with a signal that Ctrl-C (or SIGTERM) aborts; a second one ends the process at once. */
async function stoppable<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
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

/** Where a run opens its graphs, and what it reads data with. */
export async function placeOf(
  options: TrainOptions,
): Promise<Pick<RunPlace, 'device' | 'open' | 'workers' | 'onNote'>> {
  const { workers } = options;
  return { ...(await openerOf(options)), onNote: note, ...(workers === undefined ? {} : { workers }) };
}

/** Runs a planned training in the folder `out`, so that Ctrl-C stops it with a checkpoint. */
export const runPlanned = (
  command: Command,
  training: Training,
  run: object,
  place: Omit<RunPlace, 'resume'> & { readonly resume?: boolean | undefined },
): Promise<unknown> => {
  const console = consoleCallback(wantsJson(command), training.describe);
  return stoppable((signal) =>
    training.run({ ...run, ...place, resume: place.resume === true, callbacks: [console], signal }),
  );
};

/** Writes the model of a run into its folder, and returns the path. */
export async function writeModel(out: string, model: Uint8Array): Promise<string> {
  const path = join(out, 'model.onnx');
  await mkdir(out, { recursive: true });
  await writeDurably(path, model);
  return path;
}
