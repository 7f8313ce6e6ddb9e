import { knownKeys, namesOf } from '../core/known-keys.ts';
import { isNumber, need, needCount, needNotNegative, needPositive, needShare } from '../core/numbers.ts';
import { type OptionTable, type Resolved, resolveOptions } from '../core/option-table.ts';
import { sizeOf } from '../core/tensor.ts';
import { type Callback, type Event, events } from '../loop/fit-loop.ts';
import type { OptimizerDef } from '../optim/define.ts';
import { adamw, optimizers } from '../optim/optimizers.ts';
import { activationOf } from './compiled.ts';
import type { LearningRate } from './groups.ts';
import type { Metric } from './metrics.ts';
import type {
  FineTuneOptions,
  FitCallOptions,
  FlatCosCallOptions,
  LearnerData,
  LearnerOptions,
  Loader,
  OneCycleCallOptions,
  SgdrCallOptions,
} from './options.ts';

/*
 * The options of a learner: names, defaults and checks, in one table for each call. In JavaScript no compiler has looked at
 * them, and a value that is not a number (NaN, a text) would end in every weight.
 */

/** A rate, or a slice of rates: finite, not negative; both ends of a slice above 0, for its factors. */
function needRate(where: string, rate: LearningRate): void {
  if (typeof rate !== 'object' || rate === null || !('stop' in rate)) {
    const help = typeof rate === 'object' ? 'options come after the rate' : '';
    need(isNumber(rate) && rate >= 0, where, 'a learning rate as a number from 0 or a slice', rate, help);
    return;
  }
  needPositive(where, 'the highest rate of a slice', rate.stop);
  if (rate.start !== undefined) needPositive(where, 'the lowest rate of a slice', rate.start);
}

/** Momentum at start, top and end. */
function needMomentums(where: string, moms: readonly number[]): void {
  const whole = Array.isArray(moms) && moms.length === 3 && moms.every((mom) => isNumber(mom) && mom >= 0 && mom < 1);
  need(whole, where, 'moms as three numbers from 0 to below 1', Array.isArray(moms) ? moms.join(', ') : moms);
}

const callbackNames = [
  ...namesOf<Omit<Callback, Event>>({ name: true, order: true, numbers: true, accumulates: true }),
  ...Object.keys(events),
];

/**
 * Throws `bad-argument` unless each is a callback. A function under a name that is no event would never be called; what a callback keeps for
 * itself beside its functions is its own affair.
 */
export function checkCallbacks(where: string, callbacks: readonly Callback[] = []): void {
  need(Array.isArray(callbacks), where, 'callbacks as a list', callbacks);
  for (const one of callbacks) {
    const help = typeof one === 'function' ? 'call it' : '';
    need(typeof one === 'object' && one !== null, where, 'callbacks as objects with a name and events', one, help);
    const functions = Object.entries(one).filter(([key, value]) => typeof value === 'function' || key in events);
    knownKeys(`${where}: callback ${one.name}`, Object.fromEntries(functions), callbackNames);
    for (const [key, value] of functions)
      need(
        value === undefined || typeof value === 'function',
        `${where}: callback ${one.name}`,
        `${key} as a function`,
        value,
      );
  }
}

const isLoader = (value: Loader | undefined): boolean =>
  typeof value?.epoch === 'function' && typeof value.batchesPerEpoch === 'number';

function checkData(where: string, data: LearnerData): void {
  const wanted = 'with batchesPerEpoch and epoch()';
  need(typeof data === 'object' && data !== null, where, 'data as { train, valid }', data);
  need(isLoader(data.train), where, `data.train as a loader, ${wanted}`, data.train);
  need(data.valid === undefined || isLoader(data.valid), where, `data.valid as a loader, ${wanted}`, data.valid);
}

/** Hyper-parameters of the optimiser besides the rate, each a number or a number for each group. */
function checkHyper(hyper: object, { name, hyper: all }: OptimizerDef): void {
  const place = `createLearner: hyper of ${name}`;
  const { lr: _, ...others } = all;
  knownKeys(place, hyper, Object.keys(others));
  for (const [key, value] of Object.entries(hyper))
    for (const one of Array.isArray(value) ? value : [value]) need(isNumber(one), place, `${key} as a number`, one);
}

function checkMetrics(where: string, metrics: readonly Metric[]): void {
  need(Array.isArray(metrics), where, 'metrics as a list', metrics);
  for (const metric of metrics) {
    const help = typeof metric === 'function' ? 'call it' : '';
    need(typeof metric?.start === 'function', where, 'metrics such as metrics.accuracy()', metric, help);
  }
}

const needFunction =
  (wanted: string) =>
  (where: string, name: string, value: unknown): void =>
    need(typeof value === 'function', where, `${name} as a function${wanted}`, value);
const needFlag = (where: string, name: string, value: unknown): void =>
  need(typeof value === 'boolean', where, `${name} as true or false`, value);
const fromOne = (where: string, name: string, value: unknown): void => needCount(where, name, value, 1);
const rate = { check: (where: string, _name: string, value: LearningRate) => needRate(where, value) };
const callbacks = {
  default: [] as readonly Callback[],
  check: (where: string, _name: string, value: readonly Callback[]) => checkCallbacks(where, value),
};
const moms = { check: (where: string, _name: string, value: readonly number[]) => needMomentums(where, value) };

const learnerTable: OptionTable<
  LearnerOptions,
  Exclude<keyof LearnerOptions, 'model' | 'loss' | 'data' | 'open' | 'activation' | 'step'>
> = {
  model: { required: true, check: needFunction(' (scope, x) => prediction') },
  loss: { required: true, check: needFunction(', e.g. losses.crossEntropyLoss') },
  open: { required: true, check: needFunction(', e.g. (graph) => openSession(graph)') },
  data: { required: true, check: (where, _name, data) => checkData(where, data) },
  optimizer: {
    default: adamw,
    check: (where, name, value) => {
      const wanted = `${name} as one of ${Object.keys(optimizers).join(', ')}`;
      need(typeof value?.update === 'function', where, wanted, value, 'import it from fettle');
    },
  },
  hyper: { default: {} },
  lr: { default: 1e-3, ...rate },
  wd: { default: 0.01, check: needNotNegative },
  wdNormBias: { default: false, check: needFlag },
  moms: { default: [0.95, 0.85, 0.95], ...moms },
  metrics: { default: [], check: (where, _name, value) => checkMetrics(where, value) },
  freeSize: { default: 0, check: needCount },
  countTargets: { default: (y) => sizeOf(y.dims), check: needFunction(' (y) => number') },
  callbacks,
  splitter: { default: () => 0, check: needFunction(' (name) => group') },
  trainBn: { default: true, check: needFlag },
  seed: { default: 1, check: (where, name, value) => need(isNumber(value), where, `${name} as a number`, value) },
  accumulate: { default: 1, check: fromOne },
  activation: { check: needFunction(' (prediction) => answer') },
  step: { check: needFunction(', e.g. ({ state, ...parts }) => compileTurns(state, turns, parts)') },
  loops: {
    default: 'unrolled',
    check: (where, name, value) =>
      need(value === 'unrolled' || value === 'scan', where, `${name} as 'unrolled' or 'scan'`, value),
  },
  name: {
    default: 'model',
    check: (where, name, value) => need(typeof value === 'string', where, `${name} as a text`, value),
  },
};

/** The options of a learner with every default in its place. */
export type ResolvedLearner = Required<Omit<LearnerOptions, 'step'>> & Pick<LearnerOptions, 'step'>;

/** Checks the options of a learner and fills in its defaults; throws `bad-argument`. */
export function resolveLearner(options: LearnerOptions): ResolvedLearner {
  const resolved = resolveOptions('createLearner', learnerTable, options);
  checkHyper(resolved.hyper, resolved.optimizer);
  return { ...resolved, activation: options.activation ?? activationOf(options.loss) };
}

const fitTable: OptionTable<FitCallOptions, 'callbacks'> = {
  wd: { check: needNotNegative },
  callbacks,
  store: {
    check: (where, name, value) =>
      need(typeof value?.begin === 'function', where, `${name} such as runFolder(...)`, value),
  },
};
const share = { check: needShare };
const positive = { check: needPositive };

/** The options of each way to train, checked and with their defaults. */
const resolver =
  <T extends object, D extends keyof T>(where: string, table: OptionTable<T, D>) =>
  (options: T): Resolved<T, D> =>
    resolveOptions(where, table, options);

export const fitOptions = resolver<FitCallOptions, 'callbacks'>('fit', fitTable);
export const oneCycleOptions = resolver<OneCycleCallOptions, 'callbacks'>('fitOneCycle', {
  ...fitTable,
  pctStart: share,
  div: positive,
  divFinal: positive,
  moms,
});
export const flatCosOptions = resolver<FlatCosCallOptions, 'callbacks' | 'pctStart' | 'divFinal'>('fitFlatCos', {
  ...fitTable,
  pctStart: { default: 0.75, ...share },
  divFinal: { default: 1e5, ...positive },
});
export const sgdrOptions = resolver<SgdrCallOptions, 'callbacks' | 'length' | 'mult'>('fitSgdr', {
  ...fitTable,
  length: { default: 1, check: fromOne },
  mult: { default: 2, check: fromOne },
});
export const fineTuneOptions = resolver<FineTuneOptions, Exclude<keyof FineTuneOptions, 'wd' | 'store'>>('fineTune', {
  ...fitTable,
  baseLr: { default: 2e-3, ...positive },
  freezeEpochs: { default: 1, check: needCount },
  lrMult: { default: 100, ...positive },
  pctStart: { default: 0.3, ...share },
  div: { default: 5, ...positive },
});

/** Throws `bad-argument` unless a learner can be trained for `epochs` with this rate. */
export function checkRun(where: string, epochs: number, lr: LearningRate): void {
  needCount(where, 'epochs', epochs);
  needRate(where, lr);
}
