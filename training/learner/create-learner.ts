import { ensure } from '../core/errors.ts';
import { mixSeed } from '../core/rng.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import type { Weights } from '../nn/scope.ts';
import { adamw } from '../optim/optimizers.ts';
import type { Tensors } from '../run/session.ts';
import { createState, initState, setWeights, type TrainState } from '../step/state.ts';
import { accumulateGradients } from './callbacks/gradients.ts';
import { recordSeries } from './callbacks/record.ts';
import {
  type Activation,
  activationOf,
  CompiledModels,
  joinPredictions,
  type ModelParts,
  specsOf,
} from './compiled.ts';
import { explainRun } from './explain.ts';
import { countGroups, type LearningRate, learningRates, normTest, scaleRate, slice } from './groups.ts';
import { atPlace, evaluationTrouble, failOnTrouble } from './health.ts';
import { type Callback, fitLoop } from './learner.ts';
import { findLearningRate, type LrFindOptions, type LrFound } from './lr-find.ts';
import type {
  Batch,
  FineTuneOptions,
  FitCallOptions,
  History,
  LearnerOptions,
  Loader,
  OneCycleCallOptions,
  Predictions,
  ValidateOptions,
} from './options.ts';
import { constantPolicy, flatCosPolicy, oneCyclePolicy, type Policy, sgdrEpochs, sgdrPolicy } from './policies.ts';
import { type EpochRow, newProgress, type Progress } from './recorder.ts';
import { formatSummary, summarise } from './summary.ts';
import { type CompiledOptimizer, compileOptimizer, type Hyper } from './trainer.ts';

export type * from './options.ts';

interface FitPlan {
  readonly kind: string;
  readonly epochs: number;
  readonly lr: LearningRate;
  readonly policy: Policy;
  /** What goes into the name of the run besides. */
  readonly settings?: unknown;
}

/** A model, its loss, data and optimiser: what trains, measures and predicts. Made by {@link createLearner}. */
export class Learner {
  readonly options: LearnerOptions;
  readonly state: TrainState;
  /** Number of parameter groups. */
  readonly groups: number;
  readonly compiled: CompiledModels;
  readonly history: History = { rows: [], series: {} };
  readonly #parts: ModelParts;
  /** Inputs of one batch, for their shape. */
  readonly sample: Tensor;
  readonly #isNorm: (name: string) => boolean;
  #optimizer: CompiledOptimizer | undefined;
  #frozen = 0;
  #epochs = 0;

  constructor(options: LearnerOptions, sample: Tensor) {
    const { model, loss, name = 'model', activation = activationOf(loss), splitter = () => 0, seed = 1 } = options;
    this.options = options;
    this.#parts = { name, model, loss, activation };
    this.sample = sample;
    const { specs } = specsOf(this.#parts, sample);
    this.groups = countGroups(specs, splitter);
    this.#isNorm = normTest(specs);
    const { optimizer = adamw, wdNormBias = false } = options;
    const decaying = wdNormBias ? specs.map((spec) => ({ ...spec, decay: spec.kind === 'param' })) : specs;
    this.state = createState(decaying, { optimizer, groupOf: splitter, isNorm: this.#isNorm });
    initState(this.state, seed);
    this.compiled = new CompiledModels(this.#parts, options.open);
  }

  /** Trains with a constant learning rate. */
  fit(epochs: number, lr: LearningRate = this.lr, options: FitCallOptions = {}): Promise<readonly EpochRow[]> {
    return this.#run({ kind: 'fit', epochs, lr, policy: constantPolicy }, options);
  }

  /** Trains with the one-cycle policy; `lrMax` is the rate at the top. */
  fitOneCycle(epochs: number, lrMax: LearningRate = this.lr, options: OneCycleCallOptions = {}) {
    const { wd: _, callbacks: __, store: ___, ...cycle } = options;
    const settings = { moms: this.options.moms ?? [0.95, 0.85, 0.95], ...cycle } as const;
    return this.#run({ kind: 'oneCycle', epochs, lr: lrMax, policy: oneCyclePolicy(settings), settings }, options);
  }

  /** Trains flat for the share `pctStart` (0.75), then down by half a cosine. */
  fitFlatCos(
    epochs: number,
    lr: LearningRate = this.lr,
    options: FitCallOptions & { readonly pctStart?: number; readonly divFinal?: number } = {},
  ) {
    const { pctStart = 0.75, divFinal = 1e5 } = options;
    const settings = { pctStart, divFinal };
    return this.#run({ kind: 'flatCos', epochs, lr, policy: flatCosPolicy(settings), settings }, options);
  }

  /** Trains with warm restarts: `cycles` cosines down to 0, the first over `length` (1) epochs, each `mult` (2) times as long as the one before. */
  fitSgdr(
    cycles: number,
    lr: LearningRate = this.lr,
    options: FitCallOptions & { readonly length?: number; readonly mult?: number } = {},
  ) {
    const { length = 1, mult = 2 } = options;
    ensure(
      [cycles, length, mult].every((one) => Number.isInteger(one) && one > 0),
      'bad-argument',
      () => {
        return `fitSgdr: expected whole numbers above 0, got ${cycles} cycles of length ${length}, times ${mult}`;
      },
    );
    const epochs = sgdrEpochs(cycles, length, mult);
    const settings = { cycles, length, mult };
    return this.#run({ kind: 'sgdr', epochs, lr, policy: sgdrPolicy(cycles, mult), settings }, options);
  }

  /** fastai's recipe: the head alone for `freezeEpochs`, then everything with lower rates for earlier groups. */
  async fineTune(epochs: number, options: FineTuneOptions = {}): Promise<readonly EpochRow[]> {
    const { baseLr = 2e-3, freezeEpochs = 1, lrMult = 100, pctStart = 0.3, div = 5, store, ...rest } = options;
    const part = (name: string): FitCallOptions => ({ ...rest, ...(store ? { store: store.part(name) } : {}) });
    await this.freeze();
    const head = await this.fitOneCycle(freezeEpochs, slice(baseLr), { ...part('head'), pctStart: 0.99 });
    await this.unfreeze();
    const all = slice(baseLr / 2 / lrMult, baseLr / 2);
    return [...head, ...(await this.fitOneCycle(epochs, all, { ...part('all'), pctStart, div }))];
  }

  /** What makes answers of raw predictions. */
  get activation(): Activation {
    return this.#parts.activation;
  }

  /** The default learning rate. */
  get lr(): LearningRate {
    return this.options.lr ?? 1e-3;
  }

  /** Trains mock updates with rising rates and suggests one; weights are as before afterwards. */
  lrFind(options: LrFindOptions = {}): Promise<LrFound> {
    return findLearningRate(this, options);
  }

  /** Freezes all groups but the last. */
  freeze(): Promise<void> {
    return this.freezeTo(-1);
  }

  /** Trains all groups. */
  unfreeze(): Promise<void> {
    return this.freezeTo(0);
  }

  /** Freezes the groups before `group` (from the end when negative); the optimiser starts anew. */
  async freezeTo(group: number): Promise<void> {
    const first = group < 0 ? group + this.groups : group;
    ensure(Number.isInteger(first) && first >= 0 && first < this.groups, 'bad-argument', () => {
      return `freezeTo: expected a group in ${-this.groups}..${this.groups - 1}, got ${group}`;
    });
    this.#frozen = first;
    this.resetOptimizer();
    await this.#optimizer?.release();
    this.#optimizer = undefined;
  }

  /** Forgets moments and the number of updates. */
  resetOptimizer(): void {
    for (const one of [this.state.grads, ...this.state.moments]) one.fill(0);
    this.state.step = 0;
  }

  /** Whether a parameter is trained at present. */
  isTrained(name: string): boolean {
    const { splitter = () => 0, trainBn = true } = this.options;
    return splitter(name) >= this.#frozen || (trainBn && this.#isNorm(name));
  }

  /** Forward and backward of one batch; gradients land in the state. Returns the loss. */
  async gradients(batch: Tensors, seed: number): Promise<number> {
    const step = await this.compiled.step(batch, this.#frozen, (name) => this.isTrained(name));
    return step.gradients(this.state, batch, { seed });
  }

  /** One update from the gradients in the state. `lr` and momentum as the optimiser calls them. */
  async update(hyper: Hyper): Promise<void> {
    const { optimizer = adamw, open, trainBn = true } = this.options;
    this.#optimizer ??= await compileOptimizer(
      optimizer,
      this.state,
      open,
      ({ group, norm }) => group >= this.#frozen || (trainBn && norm),
    );
    await this.#optimizer.update(this.state, hyper);
  }

  /** The hyper-parameters of an update at the share `done` of a run. */
  hyperAt(done: number, lr: LearningRate, policy: Policy, wd = this.options.wd ?? 0.01): Hyper {
    const { optimizer = adamw, hyper = {} } = this.options;
    const momentum = ['beta1', 'momentum'].find((name) => name in optimizer.hyper);
    return {
      ...('wd' in optimizer.hyper ? { wd } : {}),
      ...hyper,
      ...(momentum === undefined || policy.mom === undefined ? {} : { [momentum]: policy.mom(done) }),
      lr: learningRates(scaleRate(lr, policy.lr(done)), this.groups),
    };
  }

  /**
   * Loss (`valid_loss`) and metrics over a loader: the validation set when left out. A batch whose loss is not finite is told to
   * `notFinite`; when that is left out it throws `bad-data`.
   */
  async validate(
    loader: Loader | undefined = this.options.data.valid,
    { notFinite = failOnTrouble('validate') }: ValidateOptions = {},
  ): Promise<Readonly<Record<string, number>>> {
    if (loader === undefined) return {};
    const runs = (this.options.metrics ?? []).map((metric) => ({ name: metric.name, run: metric.start() }));
    const { countTargets = (y: Tensor) => sizeOf(y.dims) } = this.options;
    let [batches, lossSum, targets] = [0, 0, 0];
    for await (const { x, y } of loader.epoch(0)) {
      const place = `validation batch ${batches}`;
      const { evaluate } = await this.compiled.evaluation({ x, y }).catch((error: unknown) => {
        throw atPlace(place, error);
      });
      const results = await evaluate(this.state, { x, y });
      const [loss, count] = [Number(results.loss!.data[0]), countTargets(y)];
      // A batch without any says nothing, whatever its loss.
      if (count > 0) lossSum += loss * count;
      if (count > 0 && !Number.isFinite(loss)) notFinite(evaluationTrouble(this.state, place, { x, y }, results));
      targets += count;
      batches += 1;
      for (const { run } of runs) run.add(results.prediction as Tensor<'float32'>, y);
    }
    if (targets === 0) notFinite(`there is nothing to measure in ${batches} validation batches`);
    return { valid_loss: lossSum / targets, ...Object.fromEntries(runs.map(({ name, run }) => [name, run.value()])) };
  }

  /** Predictions, after the activation, and targets of a whole loader: the validation set when left out. */
  async getPreds(loader: Loader = this.validLoader('getPreds')): Promise<Predictions> {
    const predictions: Tensor[] = [];
    const targets: Tensor[] = [];
    for await (const { x, y } of loader.epoch(0)) {
      predictions.push(await this.compiled.forward(this.state, x));
      targets.push({ ...y, data: y.data.slice() } as Tensor);
    }
    return joinPredictions('getPreds', predictions, targets);
  }

  /** The answer for one item x[...] (without the batch's axis), after the activation. */
  async predict(x: Tensor): Promise<Tensor<'float32'>> {
    const { dims, ...rest } = await this.compiled.forward(this.state, { ...x, dims: [1, ...x.dims] });
    return { ...rest, dims: dims.slice(1) };
  }

  /** The validation loader; throws `bad-argument` when there is none. */
  validLoader(where: string): Loader {
    const { valid } = this.options.data;
    ensure(valid !== undefined, 'bad-argument', () => `${where}: expected a validation set, got none; pass a loader`);
    return valid;
  }

  /** The lesson's table: layer, output shape, parameters, whether they are trained. */
  summary(): string {
    const { scope } = specsOf(this.#parts, this.sample);
    return formatSummary(summarise(scope, (name) => this.isTrained(name)));
  }

  /** Which callback runs when, as text. */
  explain(callbacks: readonly Callback[] = []): string {
    return explainRun([...this.#callbacks(), ...callbacks]);
  }

  /** Parameters and buffers by name; views into the state. */
  get weights(): Weights {
    return new Map([...this.state.tensors].map(([name, { data }]) => [name, data]));
  }

  /** Takes weights by name; the optimiser starts anew. */
  load(weights: Weights): void {
    setWeights(this.state, weights);
    this.resetOptimizer();
  }

  /** Number of parameters. */
  get paramCount(): number {
    const params = this.state.specs.filter(({ kind }) => kind === 'param');
    return params.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  }

  /** Lets all sessions go. The learner opens new ones when it is used again. */
  async close(): Promise<void> {
    await this.#optimizer?.release();
    this.#optimizer = undefined;
    await this.compiled.release();
  }

  #callbacks(): Callback[] {
    const { accumulate = 1, callbacks = [] } = this.options;
    return [...(accumulate > 1 ? [accumulateGradients(accumulate)] : []), recordSeries(), ...callbacks];
  }

  async #run(plan: FitPlan, { wd, callbacks = [], store }: FitCallOptions): Promise<readonly EpochRow[]> {
    const { data, seed = 1, accumulate = 1 } = this.options;
    const first = this.#epochs;
    const { policy, ...described } = plan;
    const run = JSON.stringify({ ...described, wd, seed, accumulate, first, frozen: this.#frozen });
    this.state.extra.clear();
    const progress = (await store?.begin(this.state, run)) ?? { ...newProgress(), firstStep: this.state.step };
    const { train, valid } = data;
    const measured = valid !== undefined && valid.batchesPerEpoch > 0;
    try {
      return await fitLoop({
        state: this.state,
        optimizer: { update: (_state, hyper) => this.update(hyper) },
        epochs: plan.epochs,
        totalBatches: plan.epochs * Math.ceil(train.batchesPerEpoch / accumulate),
        sourceOf: () => ({
          step: { gradients: (_state, batch, random) => this.gradients(batch, random?.seed ?? seed) },
          batchesPerEpoch: train.batchesPerEpoch,
          batches: (epoch, fromBatch) => onlyXY(train.epoch(first + epoch, { fromBatch })),
        }),
        hyperAt: (done) => this.hyperAt(done, plan.lr, policy, wd),
        // Of a data set without validation items there is nothing to measure.
        validate: async (_state, _epoch, notFinite) => (measured ? this.validate(valid, { notFinite }) : {}),
        seed: mixSeed(seed, 'fit', first),
        callbacks: [...this.#callbacks(), ...callbacks, ...(store ? [store.callback(run)] : [])],
        progress,
      });
    } finally {
      this.#epochs = first + progress.rows.length;
      this.#remember(progress);
      await store?.end();
    }
  }

  #remember(progress: Progress): void {
    this.history.rows.push(...progress.rows);
    for (const [name, values] of Object.entries(progress.series ?? {})) {
      this.history.series[name] = [...(this.history.series[name] ?? []), ...values];
    }
  }
}

async function* onlyXY(batches: AsyncIterable<Batch>): AsyncIterable<Tensors> {
  for await (const { x, y } of batches) yield { x, y };
}

/** A learner; reads one batch to learn the shape of the inputs. */
export async function createLearner(options: LearnerOptions): Promise<Learner> {
  for await (const { x } of options.data.train.epoch(0)) return new Learner(options, x);
  ensure(false, 'bad-data', () => 'createLearner: expected a training loader with batches, got an empty one');
}
