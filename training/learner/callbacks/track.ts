import { ensure } from '../../core/errors.ts';
import { knownKeys, namesOf, nearestName } from '../../core/known-keys.ts';
import { needCount, needNotNegative, needPositive } from '../../core/numbers.ts';
import type { Callback, FitContext } from '../../loop/fit-loop.ts';
import type { EpochRow } from '../../loop/recorder.ts';

/*
 * Callbacks that follow one number over the epochs. What they decide is worked out from the rows alone, so a resumed run
 * decides the same.
 */

export interface TrackOptions {
  /** A metric's name, or `train_loss`; `valid_loss` by default. */
  readonly monitor?: string;
  /** Whether more is better; by default for every name without `loss`, `error`, `perplexity`, `mse` or `mae`. */
  readonly higher?: boolean;
  /** An improvement is larger than this; 0 by default. */
  readonly minDelta?: number;
}

function monitorText(where: string, metricNames: readonly string[], monitor: string): string {
  const names = ['train_loss', ...metricNames];
  const nearest = nearestName(monitor, names);
  const meant = nearest === undefined ? 'choose one of these' : `did you mean ${nearest}?`;
  const help =
    metricNames.length === 0 ? 'there is no validation set: give one as data.valid, or follow train_loss' : meant;
  return `${where}: expected one of ${names.join(', ')}, got ${monitor}; ${help}`;
}

/** Throws `bad-argument` before anything is trained, unless rows will have the number that is followed. */
export function needMonitor(where: string, metricNames: readonly string[] | undefined, monitor = 'valid_loss'): void {
  const known = metricNames === undefined || monitor === 'train_loss' || metricNames.includes(monitor);
  ensure(known, 'bad-argument', () => monitorText(where, metricNames ?? [], monitor));
}

const trackNames = namesOf<TrackOptions>({ monitor: true, higher: true, minDelta: true });

/** The tracked number of a row, turned so that more is better. */
function scoreOf(row: EpochRow, { monitor = 'valid_loss', higher }: TrackOptions): number {
  const value = monitor === 'train_loss' ? row.trainLoss : row.metrics[monitor];
  ensure(value !== undefined, 'bad-argument', () => {
    return monitorText('monitor', Object.keys(row.metrics), monitor);
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
export function earlyStopping(options: TrackOptions & { readonly patience?: number } = {}): Callback {
  knownKeys('earlyStopping', options, [...trackNames, 'patience']);
  const { patience = 1, ...track } = options;
  needCount('earlyStopping', 'patience', patience, 1);
  const stopIfOver = ({ progress: { rows }, stop }: FitContext): void => {
    if (rows.length > 0 && rows.length - 1 - improvements(rows, track).lastIndexOf(true) >= patience) stop();
  };
  return {
    name: 'earlyStopping',
    numbers: [],
    // A run that was ended and is resumed ends at once.
    beforeFit: (context) => {
      needMonitor('earlyStopping: monitor', context.metricNames, track.monitor);
      stopIfOver(context);
    },
    afterEpoch: stopIfOver,
  };
}

export interface PlateauOptions extends TrackOptions {
  readonly patience?: number;
  /** What the learning rates are divided by; 10 by default. */
  readonly factor?: number;
  /** The rates are never below this share of what the run would have; 0 by default. */
  readonly minScale?: number;
}

/** Divides the learning rates by `factor` after `patience` (1) epochs without an improvement, and again after as many more. */
export function reduceOnPlateau(options: PlateauOptions = {}): Callback {
  knownKeys('reduceOnPlateau', options, [...trackNames, 'patience', 'factor', 'minScale']);
  const { patience = 1, factor = 10, minScale = 0, ...track } = options;
  needCount('reduceOnPlateau', 'patience', patience, 1);
  needPositive('reduceOnPlateau', 'factor', factor);
  needNotNegative('reduceOnPlateau', 'minScale', minScale);
  return {
    name: 'reduceOnPlateau',
    numbers: [],
    beforeFit: ({ metricNames }) => needMonitor('reduceOnPlateau: monitor', metricNames, track.monitor),
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

/** Puts the weights of the best epoch back, when there was one. */
function restoreBest({ state }: FitContext): void {
  const [params, buffers] = bestKeys.map((key) => state.extra.get(key));
  if (params === undefined || buffers === undefined) return;
  state.params.set(params);
  state.buffers.set(buffers);
  for (const key of bestKeys) state.extra.delete(key);
}

/** Keeps the weights of the best epoch and goes back to them at the end of the run, also of one that fails. */
export function saveBest(track: TrackOptions = {}): Callback {
  knownKeys('saveBest', track, trackNames);
  return {
    name: 'saveBest',
    // After the averaged weights are swapped in and before they are swapped out (see `ema`).
    order: 60,
    numbers: ['params', 'buffers'],
    beforeFit: ({ metricNames }) => needMonitor('saveBest: monitor', metricNames, track.monitor),
    afterValidate: ({ state, progress }) => {
      if (improvements(progress.rows, track).at(-1) !== true) return;
      state.extra.set(bestKeys[0], state.params.slice());
      state.extra.set(bestKeys[1], state.buffers.slice());
    },
    afterFit: restoreBest,
    afterFailure: restoreBest,
  };
}
