import { ensure } from '../core/errors.ts';
import { mixSeed } from '../core/rng.ts';
import type { Graph } from '../onnx/graph.ts';
import type { Tensors } from '../run/session.ts';
import type { NumberGroup, TrainState } from '../step/state.ts';
import type { Hyper } from './compile.ts';
import { atPlace, firstBadTensor } from './health.ts';
import { type EpochRow, newProgress, type Progress, turnMetric } from './recorder.ts';
import { keepResident } from './resident.ts';

/** What callbacks see and may use. */
export interface FitContext {
  readonly state: TrainState;
  readonly progress: Progress;
  readonly epochs: number;
  /** Batches of the current epoch. */
  readonly batches: number;
  /** The batch that is being worked on. */
  readonly batch: Tensors;
  /** Loss of the last batch. */
  readonly loss: number;
  /** Share of the whole run that is done, 0..1. */
  readonly done: number;
  /** Whether an update followed the last batch (accumulation makes some batches go without). */
  readonly updated: boolean;
  /** Hyper-parameters of the update that this batch is part of. */
  readonly hyper: Hyper;
  /** What rows will have besides `train_loss`, where the run knows it beforehand: `valid_loss` and the metrics, or nothing. */
  readonly metricNames?: readonly string[];
  /** The row of the epoch that just ended; set in `afterValidate` and `afterEpoch`. */
  readonly row?: EpochRow;
  /** In `beforeBatch`: trains on `batch` instead. */
  replaceBatch(batch: Tensors): void;
  /** In `afterGradients`: the update scales the gradients so that their norm, over all that is trained, is at most `maxNorm`. */
  clipGradients(maxNorm: number): void;
  /** In `afterGradients`: no update follows this batch. */
  skipUpdate(): void;
  /** Ends the run after the current event. */
  stop(): void;
}

/** The events of a run, in the order in which they come, and what each is for. */
export const events = {
  beforeFit: 'once, before anything is trained',
  beforeEpoch: 'before the first batch of each epoch',
  beforeBatch: 'before the forward pass; may replace the batch',
  afterGradients: 'gradients are in the state; may change them or skip the update',
  afterBatch: 'after the update',
  beforeValidate: 'training of the epoch is over; validation follows',
  afterValidate: 'the row of the epoch is there',
  afterEpoch: 'the epoch is over; progress points at the next one',
  afterStop: 'the run was stopped; state and progress are where they were',
  afterFit: 'once, at the end',
  afterFailure: 'instead of afterFit when something threw; the error reaches the caller',
} as const;
export type Event = keyof typeof events;

/** Everything around the loop is a callback: a plain object that listens to some of the {@link events}. */
export type Callback = {
  readonly name: string;
  readonly order?: number;
  /**
   * Which numbers of the state it reads or writes; all by default. Where a device keeps them they are brought here for
   * it and taken back after it, so a callback that runs at every batch and needs none of them states `[]`.
   */
  readonly numbers?: readonly NumberGroup[];
  /** It lets an update follow only every so many batches, and at the end of an epoch: schedules count on it. 1 by default. */
  readonly accumulates?: number;
} & {
  readonly [E in Event]?: (context: FitContext) => Promise<void> | void;
};

/** Callbacks as they run: by `order` (0 by default), else as given. */
export const inOrder = (callbacks: readonly Callback[]): readonly Callback[] =>
  callbacks.toSorted((a, b) => (a.order ?? 0) - (b.order ?? 0));

/** What is trained: one compiled graph with its optimiser, or several that take turns (see `compileTurns`). */
export interface TrainStep {
  /** Of several tasks: their names, and whose loss `gradients` gives next. Rows have the mean of each as the metric `loss/NAME`. */
  readonly turns?: { readonly names: readonly string[]; now(): string };

  /** Forward and backward of one batch; gradients land in the state. `seed` decides what is random in the graph. Returns the loss. */
  gradients(batch: Tensors, seed: number): Promise<number>;
  /** One update from those gradients, counted by `step` of the state. */
  update(hyper: Hyper): Promise<void>;
}

/** A step that a learner takes instead of its own: see the option `step` of learners. */
export interface OwnStep extends TrainStep {
  /** What its numbers follow from: a run is continued only with the same graphs. */
  readonly graphs: readonly Graph[];
  release(): Promise<void>;
}

/** What one epoch trains on. Stages of progressive resizing differ. */
export interface EpochSource {
  readonly batchesPerEpoch: number;
  /** Batches `fromBatch`.. of the epoch: the same whoever asks. */
  batches(fromBatch: number): AsyncIterable<Tensors>;
}

export interface FitOptions {
  readonly state: TrainState;
  readonly step: TrainStep;
  readonly epochs: number;
  readonly sourceOf: (epoch: number) => EpochSource;
  /** Hyper-parameters at a share 0..1 of all updates of the run. */
  readonly hyperAt: (done: number) => Hyper;
  /** Updates of all epochs together: batches, unless gradients are accumulated. */
  readonly totalBatches: number;
  /** Metrics on the validation set, after every epoch; `notFinite` receives a batch whose loss is not finite. */
  readonly validate: (
    state: TrainState,
    epoch: number,
    notFinite: (text: string) => void,
  ) => Promise<Readonly<Record<string, number>>>;
  readonly seed: number;
  /** See {@link FitContext}. */
  readonly metricNames?: readonly string[];
  readonly callbacks?: readonly Callback[];
  /** Where to continue; by default from the beginning. */
  readonly progress?: Progress;
}

interface Run {
  stopped: boolean;
  loss: number;
  batches: number;
  batch: Tensors;
  row: EpochRow | undefined;
  skipped: boolean;
  /** Batches since the last update. */
  pending: number;
  hyper: Hyper;
}
type Emit = (event: Event) => Promise<void>;

/**
 * The training loop. It keeps no state of its own: everything is in `state` and `progress`, so that a run which is
 * interrupted and continued from a checkpoint of the two ends in the same bits.
 */
export const fitLoop = (options: FitOptions): Promise<readonly EpochRow[]> =>
  keepResident(options.state, () => loop(options));

async function loop(options: FitOptions): Promise<readonly EpochRow[]> {
  const { progress = newProgress() } = options;
  const run: Run = { ...freshRun };
  const emit = emitter(options, progress, run);
  try {
    await epochsOf(options, progress, run, emit);
  } catch (error) {
    // What failed may have taken with it what this needs, such as a device; the first error is the one to report.
    await emit('afterFailure').catch(() => undefined);
    throw error;
  }
  return progress.rows;
}

async function epochsOf(options: FitOptions, progress: Progress, run: Run, emit: Emit): Promise<void> {
  const { state, epochs } = options;
  await emit('beforeFit');
  while (progress.epoch < epochs && !run.stopped) {
    const source = options.sourceOf(progress.epoch);
    run.batches = source.batchesPerEpoch;
    await emit('beforeEpoch');
    let started = performance.now();
    for await (const batch of source.batches(progress.batch)) {
      run.batch = batch;
      run.skipped = false;
      run.hyper = hyperNow(options, progress);
      await emit('beforeBatch');
      // The batches of one update draw their random numbers apart; the first of them by the seed itself.
      const seed = run.pending === 0 ? options.seed : mixSeed(options.seed, run.pending);
      const turn = options.step.turns?.now();
      run.loss = await options.step.gradients(run.batch, seed).catch((error: unknown) => {
        throw atPlace(`epoch ${progress.epoch}, batch ${progress.batch}`, error);
      });
      await emit('afterGradients');
      if (run.stopped) break;
      await needFiniteLoss(run, state, progress);
      run.pending += 1;
      if (!run.skipped) {
        await options.step.update(run.hyper);
        run.pending = 0;
      }
      progress.batch += 1;
      countLoss(progress, run.loss, turn);
      progress.seconds += (performance.now() - started) / 1000;
      started = performance.now();
      await emit('afterBatch');
      if (run.stopped) break;
    }
    if (run.stopped) break;
    await endEpoch(options, progress, run, emit);
    await emit('afterEpoch');
    run.row = undefined;
  }
  if (run.stopped) await emit('afterStop');
  await emit('afterFit');
}

const freshRun: Run = {
  stopped: false,
  loss: Number.NaN,
  batches: 0,
  batch: {},
  row: undefined,
  skipped: false,
  pending: 0,
  hyper: {},
};

/** Adds the loss of a batch to those of the epoch, and of the task whose turn it was. */
function countLoss(progress: Progress, loss: number, turn: string | undefined): void {
  progress.lossSum += loss;
  if (turn === undefined) return;
  progress.turnLosses ??= {};
  const { sum, batches } = progress.turnLosses[turn] ?? { sum: 0, batches: 0 };
  progress.turnLosses[turn] = { sum: sum + loss, batches: batches + 1 };
}

/** The mean loss of each task that had a turn in the epoch. */
const turnMeans = ({ turnLosses = {} }: Progress): Record<string, number> =>
  Object.fromEntries(Object.entries(turnLosses).map(([name, { sum, batches }]) => [turnMetric(name), sum / batches]));

/** Share of the run's updates that are done, 0..1. */
const doneShare = ({ state, totalBatches }: FitOptions, progress: Progress): number =>
  (state.step - (progress.firstStep ?? 0)) / totalBatches;

function emitter(options: FitOptions, progress: Progress, run: Run): Emit {
  const { state, epochs, step } = options;
  const metricNames = options.metricNames && [...options.metricNames, ...(step.turns?.names ?? []).map(turnMetric)];
  const callbacks = inOrder(options.callbacks ?? []);
  const actions = {
    replaceBatch: (batch: Tensors) => {
      run.batch = batch;
    },
    clipGradients: (maxNorm: number) => {
      run.hyper = { ...run.hyper, maxNorm };
    },
    skipUpdate: () => {
      run.skipped = true;
    },
    stop: () => {
      run.stopped = true;
    },
  };
  return async (event) => {
    for (const callback of callbacks) {
      if (callback[event] === undefined) continue;
      await state.residence?.toHost(callback.numbers);
      const { loss, batches, batch, row, hyper, pending } = run;
      const facts = { state, progress, epochs, batches, batch, loss, hyper, updated: pending === 0 };
      const done = doneShare(options, progress);
      const sometimes = { ...(row ? { row } : {}), ...(metricNames ? { metricNames } : {}) };
      await callback[event]({ ...facts, ...actions, done, ...sometimes });
      state.residence?.hostChanged(callback.numbers);
    }
  };
}

async function needFiniteLoss(
  { loss, batch }: Run,
  state: TrainState,
  { epoch, batch: number }: Progress,
): Promise<void> {
  if (!Number.isFinite(loss)) await state.residence?.toHost();
  ensure(Number.isFinite(loss), 'bad-data', () => {
    const first = firstBadTensor(state, batch);
    const where = first === undefined ? '' : `; the first tensor that went bad is ${first}`;
    return `fitLoop: expected a finite loss, got ${loss} in epoch ${epoch}, batch ${number}${where}; lower the learning rate or look for damaged data`;
  });
}

/** The schedule's hyper-parameters, learning rates times `progress.lrScale`. */
function hyperNow(options: FitOptions, progress: Progress): Hyper {
  const { lr, ...others } = options.hyperAt(doneShare(options, progress));
  const scaled = (value: number): number => value * (progress.lrScale ?? 1);
  if (lr === undefined) return others;
  return { ...others, lr: typeof lr === 'number' ? scaled(lr) : lr.map(scaled) };
}

/** Validates and moves `progress` to the next epoch. */
async function endEpoch({ state, validate }: FitOptions, progress: Progress, run: Run, emit: Emit): Promise<void> {
  const started = performance.now();
  await emit('beforeValidate');
  await state.residence?.toHost(['params', 'buffers']);
  let trouble: string | undefined;
  const measured = await validate(state, progress.epoch, (text) => {
    trouble ??= text;
  });
  // Validation carries the states of recurrent nets on.
  state.residence?.hostChanged(['buffers']);
  const seconds = progress.seconds + (performance.now() - started) / 1000;
  const metrics = { ...measured, ...turnMeans(progress) };
  const row: EpochRow = { epoch: progress.epoch, trainLoss: progress.lossSum / progress.batch, seconds, metrics };
  run.row = trouble === undefined ? row : { ...row, notFinite: trouble };
  progress.rows.push(run.row);
  progress.epoch += 1;
  progress.batch = 0;
  progress.lossSum = 0;
  delete progress.turnLosses;
  progress.seconds = 0;
  await emit('afterValidate');
}
