import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensure } from '../core/errors.ts';
import { checkpointFiles } from '../learner/checkpoint.node.ts';
import type { Callback } from '../learner/learner.ts';
import type { EpochRow } from '../learner/recorder.ts';
import { decodeSafetensors } from '../learner/safetensors.ts';
import type { Weights } from '../nn/scope.ts';

/* What the runs of several tasks share. */

/** Ends the run when the signal says so. */
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
