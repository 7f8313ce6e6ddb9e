import { ensure } from '../core/errors.ts';
import type { Tensors } from '../run/session.ts';
import type { TrainState } from '../step/state.ts';
import { type EpochRow, newProgress, type Progress } from './recorder.ts';
import type { CompiledOptimizer, CompiledStep, Hyper } from './trainer.ts';

/** What callbacks see and may use. */
export interface FitContext {
  readonly state: TrainState;
  readonly progress: Progress;
  readonly epochs: number;
  /** Batches of the current epoch. */
  readonly batches: number;
  /** Loss of the last batch. */
  readonly loss: number;
  /** Share of the whole run that is done, 0..1. */
  readonly done: number;
  /** The row of the epoch that just ended; set in `afterEpoch`. */
  readonly row?: EpochRow;
  /** Ends the run after the current event. */
  stop(): void;
}

/** Everything around the loop is a callback: a plain object that listens to some of these events, in order. */
export interface Callback {
  readonly name: string;
  beforeFit?(context: FitContext): Promise<void> | void;
  beforeEpoch?(context: FitContext): Promise<void> | void;
  afterBatch?(context: FitContext): Promise<void> | void;
  afterEpoch?(context: FitContext): Promise<void> | void;
  afterFit?(context: FitContext): Promise<void> | void;
}
type Event = Exclude<keyof Callback, 'name'>;

/** What one epoch trains on and with. Stages of progressive resizing differ in both. */
export interface EpochSource {
  readonly step: CompiledStep;
  readonly batchesPerEpoch: number;
  /** Batches `fromBatch`.. of epoch `epoch`: the same for the same epoch, whoever asks. */
  batches(epoch: number, fromBatch: number): AsyncIterable<Tensors>;
}

export interface FitOptions {
  readonly state: TrainState;
  readonly optimizer: CompiledOptimizer;
  readonly epochs: number;
  readonly sourceOf: (epoch: number) => EpochSource | Promise<EpochSource>;
  /** Hyper-parameters at a share 0..1 of all batches of the run. */
  readonly hyperAt: (done: number) => Hyper;
  /** Batches of all epochs together. */
  readonly totalBatches: number;
  /** Metrics on the validation set, after every epoch. */
  readonly validate: (state: TrainState, epoch: number) => Promise<Readonly<Record<string, number>>>;
  readonly seed: number;
  readonly callbacks?: readonly Callback[];
  /** Where to go on; from the beginning when left out. */
  readonly progress?: Progress;
}

/**
 * The training loop. It keeps no state of its own: everything is in `state` and `progress`, so that a run which is
 * interrupted and continued from a checkpoint of the two ends in the same bits.
 */
export async function fitLoop(options: FitOptions): Promise<readonly EpochRow[]> {
  const { state, optimizer, epochs, callbacks = [], progress = newProgress() } = options;
  const run = { stopped: false, loss: Number.NaN, batches: 0, row: undefined as EpochRow | undefined };
  const emit = async (event: Event): Promise<void> => {
    const { loss, batches, row } = run;
    const context: FitContext = {
      state,
      progress,
      epochs,
      batches,
      loss,
      done: state.step / options.totalBatches,
      ...(row ? { row } : {}),
      stop: () => {
        run.stopped = true;
      },
    };
    for (const callback of callbacks) await callback[event]?.(context);
  };
  await emit('beforeFit');
  while (progress.epoch < epochs && !run.stopped) {
    const { epoch } = progress;
    const source = await options.sourceOf(epoch);
    run.batches = source.batchesPerEpoch;
    await emit('beforeEpoch');
    let started = performance.now();
    for await (const batch of source.batches(epoch, progress.batch)) {
      run.loss = await source.step.gradients(state, batch, { seed: options.seed });
      ensure(
        Number.isFinite(run.loss),
        'bad-data',
        () =>
          `fitLoop: expected a finite loss, got ${run.loss} in epoch ${epoch}, batch ${progress.batch}; lower the learning rate or look for damaged data`,
      );
      await optimizer.update(state, options.hyperAt(state.step / options.totalBatches));
      progress.batch += 1;
      progress.lossSum += run.loss;
      progress.seconds += (performance.now() - started) / 1000;
      started = performance.now();
      await emit('afterBatch');
      if (run.stopped) break;
    }
    if (run.stopped) break;
    await endEpoch(options, progress, run);
    await emit('afterEpoch');
    run.row = undefined;
  }
  await emit('afterFit');
  return progress.rows;
}

/** Validates and moves `progress` to the next epoch. */
async function endEpoch(
  { state, validate }: FitOptions,
  progress: Progress,
  run: { row: EpochRow | undefined },
): Promise<void> {
  const started = performance.now();
  const metrics = await validate(state, progress.epoch);
  const seconds = progress.seconds + (performance.now() - started) / 1000;
  run.row = { epoch: progress.epoch, trainLoss: progress.lossSum / progress.batch, seconds, metrics };
  progress.rows.push(run.row);
  progress.epoch += 1;
  progress.batch = 0;
  progress.lossSum = 0;
  progress.seconds = 0;
}
