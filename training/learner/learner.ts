import { ensure } from '../core/errors.ts';
import { needCount } from '../core/numbers.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { type CompiledOptimizer, compileOptimizer, type Hyper } from '../loop/compile.ts';
import type { Callback, OwnStep } from '../loop/fit-loop.ts';
import { atPlace, describeNotFinite, failOnNotFinite } from '../loop/health.ts';
import type { EpochRow } from '../loop/recorder.ts';
import type { Weights } from '../nn/scope.ts';
import type { Tensors } from '../run/session.ts';
import { createState, initState, setWeights, type TrainState } from '../step/state.ts';
import { accumulateGradients } from './callbacks/gradients.ts';
import { recordSeries } from './callbacks/record.ts';
import { type Activation, CompiledModels, joinPredictions, specsOf } from './compiled.ts';
import { explainRun } from './explain.ts';
import { type FitPlan, Fits, type Trained } from './fits.ts';
import { countGroups, type LearningRate, learningRates, normTest, scaleRate, slice } from './groups.ts';
import { batchesOf, needItem } from './input.ts';
import { findLearningRate, type LrFindOptions, type LrFound } from './lr-find.ts';
import type {
  Batch,
  FineTuneOptions,
  FitCallOptions,
  FlatCosCallOptions,
  History,
  LearnerOptions,
  Loader,
  OneCycleCallOptions,
  Predictions,
  SgdrCallOptions,
  ValidateOptions,
} from './options.ts';
import { constantPolicy, flatCosPolicy, oneCyclePolicy, type Policy, sgdrEpochs, sgdrPolicy } from './policies.ts';
import {
  checkCallbacks,
  checkRun,
  fineTuneOptions,
  fitOptions,
  flatCosOptions,
  oneCycleOptions,
  type ResolvedLearner,
  resolveLearner,
  sgdrOptions,
} from './resolve.ts';
import { type RunFacts, runKey } from './run-key.ts';
import { formatSummary, summarise } from './summary.ts';

export type * from './options.ts';

/** A model, its loss, data and optimiser: what trains, measures and predicts. Made by {@link createLearner}. */
export class Learner {
  /** With every default in its place. */
  readonly options: ResolvedLearner;
  readonly state: TrainState;
  /** Number of parameter groups. */
  readonly groups: number;
  readonly compiled: CompiledModels;
  /** Inputs of one batch, for their shape. */
  readonly sample: Tensor;
  readonly #isNorm: (name: string) => boolean;
  #optimizer: CompiledOptimizer | undefined;
  #step: OwnStep | undefined;
  readonly #batch: Batch;
  #frozen = 0;
  readonly #fits: Fits;

  /** `batch` is one of the training data, for its shapes. */
  constructor(options: ResolvedLearner, batch: Batch) {
    const sample = batch.x;
    const { optimizer, splitter, seed, wdNormBias } = options;
    this.options = options;
    this.sample = sample;
    this.#batch = batch;
    const { specs } = specsOf(options, sample);
    this.groups = countGroups(specs, splitter);
    this.#isNorm = normTest(specs);
    const decaying = wdNormBias ? specs.map((spec) => ({ ...spec, decay: spec.kind === 'param' })) : specs;
    this.state = createState(decaying, { optimizer, groupOf: splitter, isNorm: this.#isNorm });
    initState(this.state, seed);
    this.compiled = new CompiledModels(options, options.open, sample);
    this.#fits = new Fits(this, {
      callbacks: () => this.#callbacks(),
      key: (plan, facts) => this.#key(plan, facts),
    });
  }

  /** Trains with a constant learning rate. */
  async fit(epochs: number, lr: LearningRate = this.lr, options: FitCallOptions = {}): Promise<readonly EpochRow[]> {
    checkRun('fit', epochs, lr);
    return this.#run({ kind: 'fit', epochs, lr, policy: constantPolicy }, fitOptions(options));
  }

  /** Trains with the one-cycle policy; `lrMax` is the rate at the top. */
  async fitOneCycle(epochs: number, lrMax: LearningRate = this.lr, options: OneCycleCallOptions = {}) {
    return this.#run(this.#oneCycle(epochs, lrMax, options), options);
  }

  #oneCycle(epochs: number, lrMax: LearningRate, options: OneCycleCallOptions): FitPlan {
    checkRun('fitOneCycle', epochs, lrMax);
    const { wd: _, callbacks: __, store: ___, ...cycle } = oneCycleOptions(options);
    const settings = { moms: this.options.moms, ...cycle } as const;
    return { kind: 'oneCycle', epochs, lr: lrMax, policy: oneCyclePolicy(settings), settings };
  }

  /** Trains flat for the share `pctStart` (0.75), then down by half a cosine. */
  async fitFlatCos(epochs: number, lr: LearningRate = this.lr, options: FlatCosCallOptions = {}) {
    checkRun('fitFlatCos', epochs, lr);
    const { pctStart, divFinal } = flatCosOptions(options);
    const settings = { pctStart, divFinal };
    return this.#run({ kind: 'flatCos', epochs, lr, policy: flatCosPolicy(settings), settings }, options);
  }

  /** Trains with warm restarts: `cycles` cosines down to 0, the first over `length` (1) epochs, each `mult` (2) times as long as the one before. */
  async fitSgdr(cycles: number, lr: LearningRate = this.lr, options: SgdrCallOptions = {}) {
    needCount('fitSgdr', 'cycles', cycles, 1);
    checkRun('fitSgdr', cycles, lr);
    const { length, mult } = sgdrOptions(options);
    const epochs = sgdrEpochs(cycles, length, mult);
    const settings = { cycles, length, mult };
    return this.#run({ kind: 'sgdr', epochs, lr, policy: sgdrPolicy(cycles, mult), settings }, options);
  }

  /**
   * fastai's recipe: the head alone for `freezeEpochs`, then everything with lower rates for earlier groups. When the first phase is
   * stopped there is no second; then, and when something throws, the groups that were frozen before are so again.
   */
  async fineTune(epochs: number, options: FineTuneOptions = {}): Promise<readonly EpochRow[]> {
    const resolved = fineTuneOptions(options);
    checkRun('fineTune', epochs, resolved.baseLr);
    return this.#fits.alone('fineTune', async () => {
      const frozen = this.#frozen;
      let whole = false;
      try {
        const { rows, stopped } = await this.#tune(epochs, resolved);
        whole = !stopped;
        return rows;
      } finally {
        if (!whole && this.#frozen !== frozen) await this.#freezeTo(frozen);
      }
    });
  }

  async #tune(epochs: number, options: ReturnType<typeof fineTuneOptions>) {
    const { baseLr, freezeEpochs, lrMult, pctStart, div, store, ...rest } = options;
    const phase = (name: string, count: number, lr: LearningRate, cycle: OneCycleCallOptions): Promise<Trained> => {
      const own = { ...rest, ...cycle, ...(store ? { store: store.part(name) } : {}) };
      return this.#fits.train(this.#oneCycle(count, lr, own), own);
    };
    await this.#freezeTo(this.groups - 1);
    const head = await phase('head', freezeEpochs, slice(baseLr), { pctStart: 0.99 });
    if (head.stopped) return head;
    await this.#freezeTo(0);
    const lr = slice(baseLr / 2 / lrMult, baseLr / 2);
    const all = await phase('all', epochs, lr, { pctStart, div });
    // A stop in this phase ends the whole as one in a fit of its own.
    return { rows: [...head.rows, ...all.rows], stopped: false };
  }

  /** Rows and series of all fits so far. */
  get history(): History {
    return this.#fits.history;
  }

  /** What makes answers of raw predictions. */
  get activation(): Activation {
    return this.options.activation;
  }

  /** The default learning rate. */
  get lr(): LearningRate {
    return this.options.lr;
  }

  /** Trains mock updates with rising rates and suggests one; weights are as before afterwards. */
  async lrFind(options: LrFindOptions = {}): Promise<LrFound> {
    return this.#fits.alone('lrFind', () => findLearningRate(this, options));
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
  freezeTo(group: number): Promise<void> {
    return this.#fits.alone('freezeTo', () => this.#freezeTo(group));
  }

  async #freezeTo(group: number): Promise<void> {
    const first = group < 0 ? group + this.groups : group;
    ensure(Number.isInteger(first) && first >= 0 && first < this.groups, 'bad-argument', () => {
      return `freezeTo: expected a group in ${-this.groups}..${this.groups - 1}, got ${group}`;
    });
    ensure(first === 0 || this.options.step === undefined, 'bad-argument', () => {
      return `freezeTo: expected a learner without the option step, got group ${group} of one with it; a step decides itself which groups it trains`;
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
    const { splitter, trainBn } = this.options;
    return splitter(name) >= this.#frozen || (trainBn && this.#isNorm(name));
  }

  /** What the option `step` made, compiled when it is first needed; undefined without that option. */
  async ownStep(): Promise<OwnStep | undefined> {
    const { step, open, optimizer, splitter } = this.options;
    this.#step ??= await step?.({ state: this.state, open, optimizer, groupOf: splitter });
    return this.#step;
  }

  /** Forward and backward of one batch; gradients land in the state. Returns the loss. */
  async gradients(batch: Tensors, seed: number): Promise<number> {
    const own = await this.ownStep();
    if (own !== undefined) return own.gradients(batch, seed);
    const step = await this.compiled.step(batch, this.#frozen, (name) => this.isTrained(name));
    return step.gradients(this.state, batch, { seed });
  }

  /** One update from the gradients in the state. `lr` and momentum as the optimiser calls them. */
  async update(hyper: Hyper): Promise<void> {
    const own = await this.ownStep();
    if (own !== undefined) return own.update(hyper);
    const { optimizer, open, trainBn } = this.options;
    this.#optimizer ??= await compileOptimizer(
      optimizer,
      this.state,
      open,
      ({ group, norm }) => group >= this.#frozen || (trainBn && norm),
    );
    await this.#optimizer.update(this.state, hyper);
  }

  /** The hyper-parameters of an update at the share `done` of a run. */
  hyperAt(done: number, lr: LearningRate, policy: Policy, wd = this.options.wd): Hyper {
    const { optimizer, hyper } = this.options;
    const momentum = ['beta1', 'momentum'].find((name) => name in optimizer.hyper);
    return {
      ...('wd' in optimizer.hyper ? { wd } : {}),
      ...hyper,
      ...(momentum === undefined || policy.mom === undefined ? {} : { [momentum]: policy.mom(done) }),
      lr: learningRates(scaleRate(lr, policy.lr(done)), this.groups),
    };
  }

  /**
   * Loss (`valid_loss`) and metrics over a loader: the validation set by default. A batch whose loss is not finite is reported to
   * `notFinite`; when that is omitted it throws `bad-data`.
   */
  async validate(
    loader: Loader | undefined = this.options.data.valid,
    { notFinite = failOnNotFinite('validate') }: ValidateOptions = {},
  ): Promise<Readonly<Record<string, number>>> {
    if (loader === undefined) return {};
    const runs = this.options.metrics.map((metric) => ({ name: metric.name, run: metric.start() }));
    const { countTargets } = this.options;
    let [batches, lossSum, targets] = [0, 0, 0];
    for await (const batch of batchesOf('validate', loader)) {
      const { x, y } = batch;
      const place = `validation batch ${batches}`;
      const { evaluate } = await this.compiled.evaluation({ x, y }).catch((error: unknown) => {
        throw atPlace(place, error);
      });
      const results = await evaluate(this.state, { x, y });
      const [loss, count] = [Number(results.loss!.data[0]), countTargets(y, batch)];
      // A batch without any has no weight, whatever its loss.
      if (count > 0) lossSum += loss * count;
      if (count > 0 && !Number.isFinite(loss)) notFinite(describeNotFinite(this.state, place, { x, y }, results));
      targets += count;
      batches += 1;
      for (const { run } of runs) run.add(results.prediction as Tensor<'float32'>, y, batch);
    }
    if (targets === 0) notFinite(`there is nothing to measure in ${batches} validation batches`);
    return { valid_loss: lossSum / targets, ...Object.fromEntries(runs.map(({ name, run }) => [name, run.value()])) };
  }

  /** Predictions, after the activation, and targets of a whole loader: the validation set by default. */
  async getPreds(loader: Loader = this.validLoader('getPreds')): Promise<Predictions> {
    const predictions: Tensor[] = [];
    const targets: Tensor[] = [];
    for await (const { x, y } of batchesOf('getPreds', loader)) {
      predictions.push(await this.compiled.forward(this.state, x));
      targets.push({ ...y, data: y.data.slice() } as Tensor);
    }
    return joinPredictions('getPreds', predictions, targets);
  }

  /** The answer for one item x[...] (without the batch's axis), after the activation. */
  async predict(x: Tensor): Promise<Tensor<'float32'>> {
    needItem('predict', x, this.sample);
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
    const { scope } = specsOf(this.options, this.sample);
    return formatSummary(summarise(scope, (name) => this.isTrained(name)));
  }

  /** Which callback runs when, as text. */
  explain(callbacks: readonly Callback[] = []): string {
    checkCallbacks('explain', callbacks);
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
    await this.#step?.release();
    this.#step = undefined;
    await this.compiled.release();
  }

  #callbacks(): Callback[] {
    const { accumulate, callbacks } = this.options;
    return [...(accumulate > 1 ? [accumulateGradients(accumulate)] : []), recordSeries(), ...callbacks];
  }

  #run(plan: FitPlan, options: FitCallOptions): Promise<readonly EpochRow[]> {
    return this.#fits.alone(plan.kind, async () => (await this.#fits.train(plan, options)).rows);
  }

  /** What distinguishes the runs of this learner. */
  async #key(plan: FitPlan, facts: Pick<RunFacts, 'wd' | 'accumulate' | 'before'>): Promise<string> {
    const { kind: schedule, epochs, lr, settings } = plan;
    const place = { frozen: this.#frozen, groups: this.groups, stepGraphs: (await this.ownStep())?.graphs };
    return runKey({ schedule, epochs, lr, settings, ...facts, ...place }, this.options, this.#batch);
  }
}

/** A learner; reads one batch to learn the shape of the inputs. */
export async function createLearner(options: LearnerOptions): Promise<Learner> {
  const resolved = resolveLearner(options);
  for await (const batch of batchesOf('data.train', options.data.train)) return new Learner(resolved, batch);
  ensure(false, 'bad-data', () => 'createLearner: expected a training loader with batches, got an empty one');
}
