import { ensure } from '../core/errors.ts';
import { mixSeed } from '../core/rng.ts';
import { type Callback, fitLoop } from '../loop/fit-loop.ts';
import { type EpochRow, newProgress, type Progress } from '../loop/recorder.ts';
import type { LearningRate } from './groups.ts';
import { batchesIn, trainBatches } from './input.ts';
import type { Learner } from './learner.ts';
import type { FitCallOptions, History } from './options.ts';
import type { Policy } from './policies.ts';
import type { RunFacts } from './run-key.ts';

export interface FitPlan {
  readonly kind: string;
  readonly epochs: number;
  readonly lr: LearningRate;
  readonly policy: Policy;
  /** What goes into the name of the run besides. */
  readonly settings?: unknown;
}

/** What a run gave, and whether something called `stop()`. */
export interface Trained {
  readonly rows: readonly EpochRow[];
  readonly stopped: boolean;
}

/** What of a learner only its runs need. */
interface Own {
  callbacks(): readonly Callback[];
  key(plan: FitPlan, facts: Pick<RunFacts, 'wd' | 'accumulate' | 'before'>): Promise<string>;
}

/** The runs of a learner, one after the other, and what they recorded. */
export class Fits {
  readonly history: History = { rows: [], series: {} };
  readonly #learner: Learner;
  readonly #own: Own;
  /** Epochs of the runs that did not fail. */
  #epochs = 0;
  /** What trains at present. */
  #busy: string | undefined;
  /** The history without the last run, when that failed. */
  #beforeFailure: History | undefined;

  constructor(learner: Learner, own: Own) {
    this.#learner = learner;
    this.#own = own;
  }

  /** Runs `work` while nothing else trains the learner; throws `busy` when something does. */
  async alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    ensure(this.#busy === undefined, 'busy', () => {
      return `${what}: expected a learner at rest, got one in ${this.#busy}; await that first, or make another learner`;
    });
    this.#busy = what;
    try {
      return await work();
    } finally {
      this.#busy = undefined;
    }
  }

  /** One run, from the beginning or from where its store is. */
  async train(plan: FitPlan, options: FitCallOptions): Promise<Trained> {
    const { state, options: made } = this.#learner;
    const { wd = made.wd, store } = options;
    const callbacks = [...this.#own.callbacks(), ...(options.callbacks ?? [])];
    const accumulate = batchesPerUpdate(callbacks);
    const run = store ? await this.#own.key(plan, { wd, accumulate, before: this.#epochs }) : '';
    state.extra.clear();
    const kept = await store?.begin(state, run);
    const progress = kept ?? { ...newProgress(), firstStep: state.step };
    if (kept !== undefined) this.#forgetFailed();
    const begun = placeOf(progress);
    let stopped = false;
    const watch: Callback = {
      name: 'watch',
      numbers: [],
      afterStop: () => {
        stopped = true;
      },
    };
    try {
      const all = [watch, ...callbacks, ...(store ? [store.callback(run)] : [])];
      const rows = await this.#loop(plan, { wd, accumulate, callbacks: all, progress });
      if (kept !== undefined && placeOf(progress) === begun) store?.note(describeOver(rows.length, plan.epochs));
      this.#epochs += rows.length;
      this.#remember(progress);
      return { rows, stopped };
    } catch (error) {
      // The epochs are not counted: given again, the run is the same one and continues where its store is.
      this.#rememberFailed(progress);
      throw error;
    } finally {
      await store?.end();
    }
  }

  async #loop(
    { epochs, lr, policy }: FitPlan,
    run: Pick<RunFacts, 'wd' | 'accumulate'> & {
      readonly callbacks: readonly Callback[];
      readonly progress: Progress;
    },
  ): Promise<readonly EpochRow[]> {
    const learner = this.#learner;
    const { data, metrics, seed } = learner.options;
    const { train, valid } = data;
    const measured = valid !== undefined && valid.batchesPerEpoch > 0;
    const first = this.#epochs;
    const step = (await learner.ownStep()) ?? learner;
    const updates = Array.from({ length: epochs }, (_, i) => Math.ceil(batchesIn(train, first + i) / run.accumulate));
    return fitLoop({
      state: learner.state,
      step,
      epochs,
      totalBatches: updates.reduce((sum, count) => sum + count, 0),
      sourceOf: (epoch) => ({
        batchesPerEpoch: batchesIn(train, first + epoch),
        batches: (fromBatch) => trainBatches(train, first + epoch, fromBatch),
      }),
      hyperAt: (done) => learner.hyperAt(done, lr, policy, run.wd),
      // Of a data set without validation items there is nothing to measure.
      validate: async (_state, _epoch, notFinite) => (measured ? learner.validate(valid, { notFinite }) : {}),
      metricNames: measured ? ['valid_loss', ...metrics.map(({ name }) => name)] : [],
      seed: mixSeed(seed, 'fit', first),
      callbacks: run.callbacks,
      progress: run.progress,
    });
  }

  #remember(progress: Progress): void {
    this.history.rows.push(...progress.rows);
    for (const [name, values] of Object.entries(progress.series ?? {})) {
      this.history.series[name] = [...(this.history.series[name] ?? []), ...values];
    }
    this.#beforeFailure = undefined;
  }

  #rememberFailed(progress: Progress): void {
    const { rows, series } = this.history;
    const before: History = { rows: [...rows], series: { ...series } };
    this.#remember(progress);
    this.#beforeFailure = before;
  }

  /** What a run that failed had recorded is a part of what continues from its store. */
  #forgetFailed(): void {
    if (this.#beforeFailure === undefined) return;
    const { rows, series } = this.#beforeFailure;
    this.history.rows.splice(0, Number.POSITIVE_INFINITY, ...rows);
    for (const name of Object.keys(this.history.series)) delete this.history.series[name];
    Object.assign(this.history.series, series);
    this.#beforeFailure = undefined;
  }
}

const placeOf = ({ epoch, batch }: Progress): string => `${epoch}/${batch}`;

/** What is reported of a run in a store that had nothing left to do. */
const describeOver = (done: number, epochs: number): string =>
  done >= epochs
    ? `this run is finished (${epochs} of ${epochs} epochs): nothing was trained, its weights and numbers are those of then; resume: false starts anew`
    : `this run was ended after ${done} of ${epochs} epochs and ends there again: nothing was trained; resume: false starts anew`;

/** Batches of one update, as the callback that gathers them states. */
function batchesPerUpdate(callbacks: readonly Callback[]): number {
  const counts = callbacks.map(({ accumulates = 1 }) => accumulates).filter((count) => count > 1);
  ensure(counts.length <= 1, 'bad-argument', () => {
    return `fit: expected gradients to be accumulated in one place, got ${counts.length}; omit the option accumulate or the callback`;
  });
  return counts[0] ?? 1;
}
