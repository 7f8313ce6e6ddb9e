import { ensure } from '../../core/errors.ts';
import type { Callback, FitContext } from '../learner.ts';
import type { EpochRow } from '../recorder.ts';

/*
 * Callbacks that follow one number over the epochs. What they decide is worked out from the rows alone, so a resumed run
 * decides the same.
 */

export interface TrackOptions {
  /** A metric's name, or `train_loss`; `valid_loss` when left out. */
  readonly monitor?: string;
  /** Whether more is better; by default for every name without `loss`, `error`, `perplexity`, `mse` or `mae`. */
  readonly higher?: boolean;
  /** An improvement is larger than this; 0 when left out. */
  readonly minDelta?: number;
}

/** The tracked number of a row, turned so that more is better. */
function scoreOf(row: EpochRow, { monitor = 'valid_loss', higher }: TrackOptions): number {
  const value = monitor === 'train_loss' ? row.trainLoss : row.metrics[monitor];
  ensure(value !== undefined, 'bad-argument', () => {
    return `monitor: expected one of train_loss, ${Object.keys(row.metrics).join(', ')}, got ${monitor}`;
  });
  return (higher ?? !/loss|error|perplexity|mse|mae/.test(monitor)) ? value : -value;
}

/** Whether each row improved on all before it. */
export function improvements(rows: readonly EpochRow[], options: TrackOptions): boolean[] {
  let best = Number.NEGATIVE_INFINITY;
  return rows.map((row) => {
    const score = scoreOf(row, options);
    const better = score > best + (best === Number.NEGATIVE_INFINITY ? 0 : (options.minDelta ?? 0));
    if (better) best = score;
    return better;
  });
}

/** Ends the run after `patience` (1) epochs in a row without an improvement. */
export function earlyStopping({
  patience = 1,
  ...track
}: TrackOptions & { readonly patience?: number } = {}): Callback {
  const stopIfOver = ({ progress: { rows }, stop }: FitContext): void => {
    if (rows.length > 0 && rows.length - 1 - improvements(rows, track).lastIndexOf(true) >= patience) stop();
  };
  return {
    name: 'earlyStopping',
    numbers: [],
    // A run that was ended and is resumed ends at once.
    beforeFit: stopIfOver,
    afterEpoch: stopIfOver,
  };
}

export interface PlateauOptions extends TrackOptions {
  readonly patience?: number;
  /** What the learning rates are divided by; 10 when left out. */
  readonly factor?: number;
  /** The rates are never below this share of what the run would have; 0 when left out. */
  readonly minScale?: number;
}

/** Divides the learning rates by `factor` after `patience` (1) epochs without an improvement, and again after as many more. */
export function reduceOnPlateau({ patience = 1, factor = 10, minScale = 0, ...track }: PlateauOptions = {}): Callback {
  return {
    name: 'reduceOnPlateau',
    numbers: [],
    afterEpoch: ({ progress }) => {
      let [waited, scale] = [0, 1];
      for (const improved of improvements(progress.rows, track)) {
        waited = improved ? 0 : waited + 1;
        if (waited < patience) continue;
        scale = Math.max(scale / factor, minScale);
        waited = 0;
      }
      progress.lrScale = scale;
    },
  };
}

const bestKeys = ['best/params', 'best/buffers'] as const;

/** Keeps the weights of the best epoch and goes back to them at the end of the run. */
export const saveBest = (track: TrackOptions = {}): Callback => ({
  name: 'saveBest',
  // After the averaged weights are swapped in and before they are swapped out (see `ema`).
  order: 60,
  numbers: ['params', 'buffers'],
  afterValidate: ({ state, progress }) => {
    if (improvements(progress.rows, track).at(-1) !== true) return;
    state.extra.set(bestKeys[0], state.params.slice());
    state.extra.set(bestKeys[1], state.buffers.slice());
  },
  afterFit: ({ state }) => {
    const [params, buffers] = bestKeys.map((key) => state.extra.get(key));
    if (params === undefined || buffers === undefined) return;
    state.params.set(params);
    state.buffers.set(buffers);
    for (const key of bestKeys) state.extra.delete(key);
  },
});
