import { appendFile, mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { writeDurably } from '../core/durable.node.ts';
import { knownKeys } from '../core/known-keys.ts';
import { needCount } from '../core/numbers.ts';
import type { Callback, FitContext } from '../loop/fit-loop.ts';
import { type EpochRow, toCsv, turnMetric } from '../loop/recorder.ts';
import { fileHeader, scalarRecord } from './event-file.ts';

/**
 * csvLog: writes the rows as comma-separated text after each epoch, those of one run after the other's, epochs counted on: both phases of
 * `fineTune`, say. Makes the folder.
 */
export function csvLog(path: string): Callback {
  const earlier: EpochRow[] = [];
  const all = (rows: readonly EpochRow[]): EpochRow[] => [...earlier, ...rows].map((row, epoch) => ({ ...row, epoch }));
  return {
    name: 'csvLog',
    order: 90,
    numbers: [],
    beforeFit: async () => {
      await mkdir(dirname(path), { recursive: true });
    },
    afterEpoch: ({ progress }) => writeDurably(path, toCsv(all(progress.rows))),
    afterFit: ({ progress }) => void earlier.push(...progress.rows),
  };
}

const lastOf = (value: number | readonly number[] | undefined): number | undefined =>
  typeof value === 'number' ? value : value?.at(-1);

/** The numbers of an update that are there. */
function updateScalars({ loss, hyper }: FitContext): Record<string, number> {
  const all = {
    'train/loss': loss,
    'train/lr': lastOf(hyper.lr),
    'train/momentum': lastOf(hyper.beta1 ?? hyper.momentum),
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

/** Bytes gathered before they are appended to the file. */
const bufferBytes = 64 * 1024;

/**
 * tensorBoard: writes an event file into `folder`: loss, learning rate and momentum at every `every`th update, and the
 * epoch's numbers after each epoch, all over the number of updates, which a later run counts on.
 */
export function tensorBoard(folder: string, options: { readonly every?: number } = {}): Callback {
  knownKeys('tensorBoard', options, ['every']);
  const { every = 1 } = options;
  needCount('tensorBoard', 'every', every, 1);
  let path = '';
  // The last update of the run before, and what is added to those of this one where the optimiser began anew.
  let [last, ahead] = [0, 0];
  let waiting: Uint8Array[] = [];
  const nowS = (): number => Date.now() / 1000;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(waiting);
    waiting = [];
    if (bytes.length > 0) await appendFile(path, bytes);
  };
  return {
    name: 'tensorBoard',
    order: 90,
    numbers: [],
    beforeFit: async ({ progress }) => {
      ahead = Math.max(0, last - (progress.firstStep ?? 0));
      if (path !== '') return;
      await mkdir(folder, { recursive: true });
      path = join(folder, `events.out.tfevents.${Math.floor(nowS())}.${hostname()}.${process.pid}`);
      waiting = [fileHeader(nowS())];
      await flush();
    },
    afterBatch: async (context) => {
      const { updated, state } = context;
      if (!updated || state.step % every !== 0) return;
      waiting.push(scalarRecord(nowS(), ahead + state.step, updateScalars(context)));
      if (waiting.reduce((sum, { length }) => sum + length, 0) > bufferBytes) await flush();
    },
    afterEpoch: async ({ state, row }) => {
      const metrics = Object.entries(row!.metrics).map(([name, value]) => [
        name.startsWith(turnMetric('')) ? `train/${name}` : `valid/${name.replace(/^valid_/, '')}`,
        value,
      ]);
      const numbers = { 'train/epoch_loss': row!.trainLoss, ...Object.fromEntries(metrics) };
      waiting.push(scalarRecord(nowS(), ahead + state.step, numbers));
      await flush();
    },
    afterFit: async ({ state }) => {
      last = ahead + state.step;
      await flush();
    },
    afterFailure: flush,
  };
}
