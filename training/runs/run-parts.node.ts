import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../core/durable.node.ts';
import { ensure } from '../core/errors.ts';
import type { Learner } from '../learner/learner.ts';
import type { FineTuneOptions, OneCycleCallOptions, RunStore } from '../learner/options.ts';
import type { Callback } from '../loop/fit-loop.ts';
import type { EpochRow } from '../loop/recorder.ts';
import type { Weights } from '../nn/scope.ts';
import { decodeSafetensors, encodeSafetensors } from '../weights/safetensors.ts';
import { checkpointFiles, hasCheckpoint } from './checkpoint.node.ts';
import { csvLog } from './logs.node.ts';
import { type RunFolderOptions, runFolder } from './run-folder.node.ts';
import type { RunOptions } from './run-options.ts';

/* What the runs of several tasks share. */

/** Ends the run when the signal is aborted. */
function stopCallback(signal: AbortSignal | undefined): Callback {
  const look: NonNullable<Callback['afterBatch']> = ({ stop }) => {
    if (signal?.aborted) stop();
  };
  return { name: 'stop', numbers: [], beforeFit: look, afterBatch: look, afterEpoch: look };
}

/** Hash of the weights that a run starts from; null where it starts from random ones. */
export function hashOfWeights(weights: Weights | undefined): string | null {
  if (weights === undefined) return null;
  const hash = createHash('sha256');
  for (const [name, { buffer, byteOffset, byteLength }] of weights)
    hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
}

/** A run's folder whose checkpoints also state which settings and data they belong to. */
function describedStore(store: RunStore, facts: object): RunStore {
  const whole = (run: string): string => JSON.stringify({ ...facts, fit: JSON.parse(run) });
  return {
    ...store,
    begin: (state, run) => store.begin(state, whole(run)),
    callback: (run) => store.callback(whole(run)),
    part: (name) => describedStore(store.part(name), facts),
  };
}

/** How a task trains. */
export interface TrainPlan extends Pick<RunFolderOptions, 'best' | 'intervalS'> {
  /** Settings and data that a checkpoint belongs to. */
  readonly facts: object;
  /** What the task does after each epoch. */
  readonly callbacks?: readonly Callback[];
  /** Epochs, and the cycle over all of them at the highest rate `lr`. */
  readonly epochs: number;
  readonly lr: number;
  readonly cycle?: OneCycleCallOptions;
  /** Instead of one cycle: of those epochs `freezeEpochs` with new layers alone, then everything. */
  readonly tune?: FineTuneOptions & { readonly freezeEpochs: number };
}

/**
 * trainRun: all epochs of a run, kept in its folder with `log.csv`; rows, and which of them are of the phase that the result is of, in which folder.
 * Throws `stopped` when the signal ended it.
 */
export async function trainRun(
  where: string,
  learner: Learner,
  { out, signal, onNote, callbacks = [] }: Pick<RunOptions<never, never>, 'out' | 'signal' | 'onNote' | 'callbacks'>,
  { facts, epochs, lr, cycle, tune, best, intervalS = 120, ...plan }: TrainPlan,
) {
  const folder = runFolder(out, { intervalS, ...(best ? { best } : {}), ...(onNote ? { onNote } : {}) });
  const common = {
    store: describedStore(folder, facts),
    callbacks: [stopCallback(signal), ...(plan.callbacks ?? []), csvLog(join(out, 'log.csv')), ...callbacks],
  };
  const frozen = tune?.freezeEpochs ?? 0;
  const rows = tune
    ? await learner.fineTune(epochs - frozen, { ...tune, ...common })
    : await learner.fitOneCycle(epochs, lr, { ...cycle, ...common });
  ensure(rows.length >= epochs, 'stopped', () => {
    return `${where}: expected ${epochs} epochs, got stopped in epoch ${rows.length}; what is done is in ${out}, the same command with --resume continues`;
  });
  return { rows, phase: tune ? { folder: join(out, 'all'), rows: rows.slice(frozen) } : { folder: out, rows } };
}

/** Throws `exists` when the folder holds a run, of one phase or two, that is not to be continued. */
export async function needFresh(where: string, out: string, resume: boolean): Promise<void> {
  const taken = (await hasCheckpoint(out)) || (await hasCheckpoint(join(out, 'head')));
  ensure(resume || !taken, 'exists', () => {
    return `${where}: expected a new folder, got ${out} with a checkpoint; add --resume to continue, or choose another --out`;
  });
}

const startFile = 'start.safetensors';

/**
 * The weights that a run starts from, kept in its folder: a run that is resumed has them from there, and needs the file no more that
 * they came from. Undefined where it starts from random ones.
 */
export async function keptStart(
  out: string,
  { start, resume }: { readonly start?: Weights; readonly resume: boolean },
): Promise<Weights | undefined> {
  const path = join(out, startFile);
  if (start !== undefined && !(resume && existsSync(path))) {
    await mkdir(out, { recursive: true });
    const tensors = new Map(
      [...start].map(([name, data]) => [name, { dtype: 'float32' as const, dims: [data.length], data }]),
    );
    await writeDurably(path, encodeSafetensors({ tensors, metadata: {} }));
  }
  if (start !== undefined || !resume || !existsSync(path)) return start;
  const { tensors } = decodeSafetensors(await readFile(path), path);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

/** `facts` with the learner that `make` gives, and what releases it and then its data; the data are released too when it cannot be made. */
export async function withLearner<T extends object>(
  facts: T,
  make: () => Promise<Learner>,
  closeData: () => Promise<void>,
): Promise<T & { readonly learner: Learner; close(): Promise<void> }> {
  try {
    const learner = await make();
    const close = async (): Promise<void> => {
      await learner.close();
      await closeData();
    };
    return { ...facts, learner, close };
  } catch (error) {
    await closeData();
    throw error;
  }
}

/** Row and weights of the best epoch of a run that is kept in `folder`. */
export async function readBest({
  folder,
  rows,
}: {
  readonly folder: string;
  readonly rows: readonly EpochRow[];
}): Promise<{ readonly best: EpochRow; readonly weights: Weights }> {
  const path = join(folder, checkpointFiles.best);
  const { tensors, metadata } = decodeSafetensors(await readFile(path), path);
  const best = rows[Number(metadata.epoch)];
  ensure(best !== undefined, 'bad-checkpoint', () => `${path}: expected an epoch of this run, got ${metadata.epoch}`);
  return { best, weights: new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array])) };
}
