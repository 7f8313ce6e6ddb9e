import { appendFile, mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writeDurably } from '../checkpoint.node.ts';
import { fileHeader, scalarRecord } from '../event-file.ts';
import type { Callback, FitContext } from '../learner.ts';
import { toCsv } from '../recorder.ts';

/** csvLog: writes the rows of the run as comma-separated text after each epoch. */
export const csvLog = (path: string): Callback => ({
  name: 'csvLog',
  order: 90,
  numbers: [],
  afterEpoch: ({ progress }) => writeDurably(path, toCsv(progress.rows)),
});

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
 * epoch's numbers after each epoch, all over the number of updates.
 */
export function tensorBoard(folder: string, { every = 1 }: { readonly every?: number } = {}): Callback {
  let path = '';
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
    beforeFit: async () => {
      await mkdir(folder, { recursive: true });
      path = join(folder, `events.out.tfevents.${Math.floor(nowS())}.${hostname()}.${process.pid}`);
      waiting = [fileHeader(nowS())];
      await flush();
    },
    afterBatch: async (context) => {
      const { updated, state } = context;
      if (!updated || state.step % every !== 0) return;
      waiting.push(scalarRecord(nowS(), state.step, updateScalars(context)));
      if (waiting.reduce((sum, { length }) => sum + length, 0) > bufferBytes) await flush();
    },
    afterEpoch: async ({ state, row }) => {
      const metrics = Object.entries(row!.metrics).map(([name, value]) => [
        `valid/${name.replace(/^valid_/, '')}`,
        value,
      ]);
      const numbers = { 'train/epoch_loss': row!.trainLoss, ...Object.fromEntries(metrics) };
      waiting.push(scalarRecord(nowS(), state.step, numbers));
      await flush();
    },
    afterFit: flush,
  };
}
