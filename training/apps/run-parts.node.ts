import { createHash } from 'node:crypto';
import type { Callback } from '../learner/learner.ts';
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
