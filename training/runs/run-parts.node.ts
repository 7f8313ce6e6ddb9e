import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../core/durable.node.ts';
import { ensure } from '../core/errors.ts';
import type { Learner } from '../learner/learner.ts';
import type { RunStore } from '../learner/options.ts';
import type { Callback } from '../loop/fit-loop.ts';
import type { EpochRow } from '../loop/recorder.ts';
import type { Weights } from '../nn/scope.ts';
import { decodeSafetensors, encodeSafetensors } from '../weights/safetensors.ts';
import { checkpointFiles, hasCheckpoint } from './checkpoint.node.ts';

/* What the runs of several tasks share. */

/** Ends the run when the signal is aborted. */
export function stopCallback(signal: AbortSignal | undefined): Callback {
  const look: NonNullable<Callback['afterBatch']> = ({ stop }) => {
    if (signal?.aborted) stop();
  };
  return { name: 'stop', numbers: [], beforeFit: look, afterBatch: look, afterEpoch: look };
}

/** Hash of the weights that a run starts from. */
export function hashOfWeights(weights: Weights): string {
  const hash = createHash('sha256');
  for (const [name, { buffer, byteOffset, byteLength }] of weights)
    hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
}

/** A run's folder whose checkpoints also state which settings and data they belong to. */
export function describedStore(store: RunStore, facts: object): RunStore {
  const whole = (run: string): string => JSON.stringify({ ...facts, fit: JSON.parse(run) });
  return {
    ...store,
    begin: (state, run) => store.begin(state, whole(run)),
    callback: (run) => store.callback(whole(run)),
    part: (name) => describedStore(store.part(name), facts),
  };
}

/** Throws `exists` when the folder holds a run, of one phase or two, that is not to be gone on with. */
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

/** Throws `stopped` unless a run has all its epochs. */
export function needEpochs(where: string, out: string, rows: readonly EpochRow[], epochs: number): void {
  ensure(rows.length >= epochs, 'stopped', () => {
    return `${where}: expected ${epochs} epochs, got stopped in epoch ${rows.length}; what is done is in ${out}, the same command with --resume goes on`;
  });
}

/** Row and weights of the best epoch of a run that is kept in `folder`. */
export async function readBest(
  folder: string,
  rows: readonly EpochRow[],
): Promise<{ readonly best: EpochRow; readonly weights: Weights }> {
  const path = join(folder, checkpointFiles.best);
  const { tensors, metadata } = decodeSafetensors(await readFile(path), path);
  const best = rows[Number(metadata.epoch)];
  ensure(best !== undefined, 'bad-checkpoint', () => `${path}: expected an epoch of this run, got ${metadata.epoch}`);
  return { best, weights: new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array])) };
}
