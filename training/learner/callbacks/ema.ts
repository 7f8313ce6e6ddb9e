import { ensure } from '../../core/errors.ts';
import { knownKeys } from '../../core/known-keys.ts';
import type { Callback } from '../../loop/fit-loop.ts';
import type { TrainState } from '../../step/state.ts';

const keys = ['ema/params', 'ema/buffers'] as const;

/** What is averaged, beside its average. */
const pairsOf = (state: TrainState): readonly (readonly [Float32Array, Float32Array])[] => [
  [state.params, state.extra.get(keys[0])!],
  [state.buffers, state.extra.get(keys[1])!],
];

function swap(state: TrainState): void {
  for (const [live, average] of pairsOf(state)) {
    const kept = live.slice();
    live.set(average);
    average.set(kept);
  }
}

/**
 * Exponential mean of all weights: after each update average += (1 - d) (weight - average), d = `decay`, or less in the
 * first updates: (1 + n) / (10 + n) after n of them. Validation and the end of the run, also of one that fails, use the averages.
 */
export function ema(options: { readonly decay?: number } = {}): Callback {
  knownKeys('ema', options, ['decay']);
  const { decay = 0.999 } = options;
  ensure(decay > 0 && decay < 1, 'bad-argument', () => `ema: expected a decay between 0 and 1, got ${decay}`);
  // Whether the averages are what the state has at present.
  let swapped = false;
  const swapThem = (state: TrainState): void => {
    swap(state);
    swapped = !swapped;
  };
  const takeAverages = (state: TrainState): void => {
    if (state.extra.has(keys[0]) && !swapped) for (const [live, average] of pairsOf(state)) live.set(average);
    for (const key of keys) state.extra.delete(key);
  };
  return {
    name: 'ema',
    order: 50,
    numbers: ['params', 'buffers'],
    beforeFit: ({ state }) => {
      swapped = false;
      if (state.extra.has(keys[0])) return;
      state.extra.set(keys[0], state.params.slice());
      state.extra.set(keys[1], state.buffers.slice());
    },
    afterBatch: ({ state, progress, updated }) => {
      if (!updated) return;
      const count = state.step - (progress.firstStep ?? 0);
      const share = 1 - Math.min(decay, (1 + count) / (10 + count));
      for (const [live, average] of pairsOf(state))
        for (let i = 0; i < live.length; i++) average[i]! += share * (live[i]! - average[i]!);
    },
    beforeValidate: ({ state }) => swapThem(state),
    afterEpoch: ({ state }) => swapThem(state),
    afterFit: ({ state }) => takeAverages(state),
    afterFailure: ({ state }) => takeAverages(state),
  };
}
