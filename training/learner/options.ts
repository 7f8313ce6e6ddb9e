import type { Tensor } from '../core/tensor.ts';
import type { Hyper, OpenGraph } from '../loop/compile.ts';
import type { Callback, OwnStep } from '../loop/fit-loop.ts';
import type { EpochRow, Progress } from '../loop/recorder.ts';
import type { LoopForm } from '../nn/loop.ts';
import type { OptimizerDef } from '../optim/define.ts';
import type { OneCycleOptions } from '../optim/schedules.ts';
import type { Statistics } from '../pictures/transforms/normalise.ts';
import type { TrainState } from '../step/state.ts';
import type { Activation, Loss, Model } from './compiled.ts';
import type { LearningRate, ParamSplitter } from './groups.ts';
import type { Metric } from './metrics.ts';

/** Inputs x[N,...] and targets y[N,...]; other keys are for metrics alone. */
export interface Batch {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** What a learner asks of data: batches of an epoch, the same for the same number, entered anywhere. */
export interface Loader {
  readonly batchesPerEpoch: number;
  /** Batches of one epoch, where epochs differ. */
  readonly batchesIn?: (epoch: number) => number;
  epoch(epoch: number, options?: { readonly fromBatch?: number }): AsyncIterable<Batch>;
}

export interface LearnerData {
  readonly train: Loader;
  /** Validation set; without it there are no metrics. */
  readonly valid?: Loader;
  /* What the loaders of a data block have besides, for pictures of results: */
  /** Names of the classes by id. */
  readonly vocab?: readonly string[];
  /** What x was normalised by, if it was. */
  readonly statistics?: Statistics | undefined;
  /** How x came about; a label of pixels that do not count. */
  readonly spec?: { readonly label: { readonly ignoreId?: number | undefined } };
}

/** Where a run is kept so that it can continue: see `runFolder` in fettle/node. */
export interface RunStore {
  /** The progress of the run `run`, its tensors read into `state`; undefined when there is none yet. When it throws, nothing has begun. */
  begin(state: TrainState, run: string): Promise<Progress | undefined>;
  callback(run: string): Callback;
  /** The run is over, whether it has ended, was stopped or has failed. */
  end(): Promise<void>;
  /** Words for the user, e.g. that a run is finished. */
  note(text: string): void;
  /** A store beside, for one of several runs that belong together: the phases of `fineTune`. */
  part(name: string): RunStore;
}

/** What a step of one's own is compiled for: the learner's state and what that was made with. */
export interface StepParts {
  readonly state: TrainState;
  readonly open: OpenGraph;
  readonly optimizer: OptimizerDef;
  /** The option `splitter`. */
  readonly groupOf: ParamSplitter;
}

export interface LearnerOptions {
  readonly model: Model;
  readonly loss: Loss;
  readonly data: LearnerData;
  /** Opens graphs: `(graph) => openSession(graph, { device })`. */
  readonly open: OpenGraph;
  /** {@link adamw} by default. */
  readonly optimizer?: OptimizerDef;
  /** Hyper-parameters besides lr, wd and momentum, e.g. `{ beta2: 0.99, eps: 1e-5 }`. */
  readonly hyper?: Hyper;
  /** 1e-3 by default. */
  readonly lr?: LearningRate;
  /** 0.01 by default; norms and biases are spared unless `wdNormBias`. */
  readonly wd?: number;
  readonly wdNormBias?: boolean;
  /** Momentum at start, top and end of a one-cycle run; [0.95, 0.85, 0.95] by default. */
  readonly moms?: readonly [number, number, number];
  readonly metrics?: readonly Metric[];
  /**
   * How many targets of a batch its loss is a mean over, which is its weight in `valid_loss`; all elements of y by
   * default. A loss that ignores some, or looks at the last word alone, has fewer.
   */
  readonly countTargets?: (y: Tensor, batch: Batch) => number;
  /**
   * Pictures of a validation set may have any height and width that are multiples of this: one graph serves all. 0 (the default): a graph
   * is compiled for each size.
   */
  readonly freeSize?: number;
  readonly callbacks?: readonly Callback[];
  /** Parameter groups; one by default. See {@link splitByPrefix}. */
  readonly splitter?: ParamSplitter;
  /** Whether batch norms of frozen groups continue training; true by default. */
  readonly trainBn?: boolean;
  /** Decides first weights and everything random in the graph; 1 by default. */
  readonly seed?: number;
  /** Batches whose gradients are averaged into one update; 1 by default. */
  readonly accumulate?: number;
  /** What makes answers of raw predictions; softmax for cross-entropy, else nothing. */
  readonly activation?: Activation;
  /** How the time steps of recurrent layers are written: `unrolled` by default; `scan` loads quicker, on the CPU. */
  readonly loops?: LoopForm;
  readonly name?: string;
  /**
   * What updates the state instead of the gradients of `loss`: `({ state, ...parts }) => compileTurns(state, turns, parts)` for a GAN. Tasks read
   * `x` and `y` of the batch; `model` declares the parameters of all of them, and its answer is what is validated by `loss`, predicted and exported.
   * A step decides itself which groups it trains, so such a learner is not frozen.
   */
  readonly step?: (parts: StepParts) => Promise<OwnStep>;
}

export interface FitCallOptions {
  readonly wd?: number;
  readonly callbacks?: readonly Callback[];
  /** Keeps the run, and continues with what is there. */
  readonly store?: RunStore;
}
export type OneCycleCallOptions = FitCallOptions & Omit<OneCycleOptions, 'lrMax'>;

export interface FlatCosCallOptions extends FitCallOptions {
  /** Share of the run with the full rate; 0.75 by default. */
  readonly pctStart?: number;
  /** What the rate is divided by at the end; 1e5 by default. */
  readonly divFinal?: number;
}
export interface SgdrCallOptions extends FitCallOptions {
  /** Epochs of the first cycle; 1 by default. */
  readonly length?: number;
  /** How many times longer each cycle is than the one before; 2 by default. */
  readonly mult?: number;
}

export interface FineTuneOptions extends FitCallOptions {
  /** Keeps both phases, as its parts `head` and `all`. */
  readonly store?: RunStore;
  /** 2e-3 by default. */
  readonly baseLr?: number;
  /** 1 by default. */
  readonly freezeEpochs?: number;
  /** How many times lower the rate of the first group is than that of the last; 100 by default. */
  readonly lrMult?: number;
  /** Of the second phase; 0.3 by default. */
  readonly pctStart?: number;
  /** Of the second phase; 5 by default. */
  readonly div?: number;
}

/** Everything that was recorded: rows of epochs and series of updates, over all fits of a learner. */
export interface History {
  readonly rows: EpochRow[];
  readonly series: Record<string, number[]>;
}

export interface ValidateOptions {
  /** Receives a batch whose loss is not finite; by default `bad-data` is thrown. */
  readonly notFinite?: (text: string) => void;
}

export interface Predictions {
  /** f32[N,...], after the activation. */
  readonly predictions: Tensor<'float32'>;
  readonly targets: Tensor;
}
