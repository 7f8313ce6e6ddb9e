import { ensure } from '../../core/errors.ts';
import type { Callback } from '../../loop/fit-loop.ts';

/** Updates with the gradients scaled so that their norm, over all parameters together, is at most `maxNorm`. */
export function gradientClip(maxNorm = 1): Callback {
  ensure(maxNorm > 0, 'bad-argument', () => `gradientClip: expected a norm above 0, got ${maxNorm}`);
  return {
    name: 'gradientClip',
    // The optimiser's graph does it, so gradients that a device keeps stay there.
    numbers: [],
    afterGradients: ({ clipGradients }) => clipGradients(maxNorm),
  };
}

/** Updates once in `count` batches, with the mean of their gradients; what is left over at an epoch's end is used there. */
export function accumulateGradients(count: number): Callback {
  ensure(Number.isInteger(count) && count > 0, 'bad-argument', () => {
    return `accumulateGradients: expected a whole number of batches above 0, got ${count}`;
  });
  let sum = new Float32Array(0);
  let gathered = 0;
  return {
    name: 'accumulateGradients',
    order: 10,
    numbers: ['grads'],
    accumulates: count,
    beforeFit: ({ state }) => {
      sum = new Float32Array(state.grads.length);
      gathered = 0;
    },
    afterGradients: ({ state, progress, batches, skipUpdate }) => {
      const { grads } = state;
      for (let i = 0; i < sum.length; i++) sum[i]! += grads[i]!;
      gathered += 1;
      if (gathered < count && progress.batch + 1 < batches) return skipUpdate();
      for (let i = 0; i < sum.length; i++) grads[i] = sum[i]! / gathered;
      sum.fill(0);
      gathered = 0;
    },
  };
}
