import { knownKeys, namesOf } from '../core/known-keys.ts';
import { isNumber, need, needCount, needNotNegative, needPositive, needShare } from '../core/numbers.ts';
import { type Callback, type Event, events } from '../loop/fit-loop.ts';
import type { OptimizerDef } from '../optim/define.ts';
import { adamw } from '../optim/optimizers.ts';
import type { LearningRate } from './groups.ts';
import type {
  FineTuneOptions,
  FitCallOptions,
  FlatCosCallOptions,
  LearnerOptions,
  Loader,
  OneCycleCallOptions,
  SgdrCallOptions,
} from './options.ts';

/*
 * What a learner asks of its options, before anything is changed. In JavaScript no compiler has looked at them, and a number
 * that is none (NaN, a text) would end in every weight.
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
export function checkCallbacks(where: string, callbacks: readonly Callback[]): void {
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

const learnerNames = namesOf<LearnerOptions>({
  model: true,
  loss: true,
  data: true,
  open: true,
  optimizer: true,
  hyper: true,
  lr: true,
  wd: true,
  wdNormBias: true,
  moms: true,
  metrics: true,
  countTargets: true,
  callbacks: true,
  splitter: true,
  trainBn: true,
  seed: true,
  accumulate: true,
  activation: true,
  loops: true,
  name: true,
});

const where = 'createLearner';
const isLoader = (value: Loader | undefined): boolean =>
  typeof value?.epoch === 'function' && typeof value.batchesPerEpoch === 'number';

function checkParts({ model, loss, open, data }: LearnerOptions): void {
  need(typeof model === 'function', where, 'model as a function (scope, x) => prediction', model);
  need(typeof loss === 'function', where, 'loss as a function, e.g. losses.crossEntropyLoss', loss);
  need(typeof open === 'function', where, 'open as a function, e.g. (graph) => openSession(graph)', open);
  const wanted = 'with batchesPerEpoch and epoch()';
  need(typeof data === 'object' && data !== null, where, 'data as { train, valid }', data);
  need(isLoader(data.train), where, `data.train as a loader, ${wanted}`, data.train);
  need(data.valid === undefined || isLoader(data.valid), where, `data.valid as a loader, ${wanted}`, data.valid);
}

/** Hyper-parameters of the optimiser besides the rate, each a number or a number for each group. */
function checkHyper(hyper: object, { name, hyper: all }: OptimizerDef): void {
  const place = `${where}: hyper of ${name}`;
  knownKeys(
    place,
    hyper,
    Object.keys(all).filter((one) => one !== 'lr'),
  );
  for (const [key, value] of Object.entries(hyper))
    for (const one of Array.isArray(value) ? value : [value]) need(isNumber(one), place, `${key} as a number`, one);
}

/** Throws `bad-argument` unless the options are whole: see {@link LearnerOptions}. */
export function checkLearnerOptions(options: LearnerOptions): void {
  knownKeys(where, options, learnerNames);
  checkParts(options);
  const { optimizer = adamw, hyper = {}, lr = 1e-3, wd = 0, moms = [0, 0, 0], seed = 1, accumulate = 1 } = options;
  const isOptimizer = typeof optimizer === 'object' && typeof optimizer?.update === 'function';
  need(
    isOptimizer,
    where,
    'optimizer as one of adamw, adam, sgd, nesterov, rmsprop',
    optimizer,
    'import it from fettle',
  );
  checkHyper(hyper, optimizer);
  needRate(where, lr);
  needNotNegative(where, 'wd', wd);
  needMomentums(where, moms);
  need(isNumber(seed), where, 'seed as a number', seed);
  needCount(where, 'accumulate', accumulate, 1);
  const { metrics = [], callbacks = [] } = options;
  need(Array.isArray(metrics), where, 'metrics as a list', metrics);
  for (const metric of metrics) {
    const help = typeof metric === 'function' ? 'call it' : '';
    need(typeof metric?.start === 'function', where, 'metrics such as metrics.accuracy()', metric, help);
  }
  checkCallbacks(where, callbacks);
}

const fitTable = { wd: true, callbacks: true, store: true } as const;
export const fitNames = namesOf<FitCallOptions>(fitTable);
export const oneCycleNames = namesOf<OneCycleCallOptions>({
  ...fitTable,
  pctStart: true,
  div: true,
  divFinal: true,
  moms: true,
});
export const flatCosNames = namesOf<FlatCosCallOptions>({ ...fitTable, pctStart: true, divFinal: true });
export const sgdrNames = namesOf<SgdrCallOptions>({ ...fitTable, length: true, mult: true });
const fineTuneNames = namesOf<FineTuneOptions>({
  ...fitTable,
  baseLr: true,
  freezeEpochs: true,
  lrMult: true,
  pctStart: true,
  div: true,
});

/** Throws `bad-argument` unless this can be trained: epochs, rate, and options of the names `names`. */
export function checkCall(
  place: string,
  epochs: number,
  lr: LearningRate,
  options: OneCycleCallOptions,
  names: readonly string[],
): void {
  needCount(place, 'epochs', epochs);
  needRate(place, lr);
  knownKeys(place, options, names);
  const { wd = 0, callbacks = [], store, pctStart = 0, div = 1, divFinal = 1, moms = [0, 0, 0] } = options;
  needNotNegative(place, 'wd', wd);
  needShare(place, 'pctStart', pctStart);
  needPositive(place, 'div', div);
  needPositive(place, 'divFinal', divFinal);
  needMomentums(place, moms);
  checkCallbacks(place, callbacks);
  need(store === undefined || typeof store?.begin === 'function', place, 'store such as runFolder(...)', store);
}

/** {@link checkCall} of both phases. */
export function checkFineTune(epochs: number, options: FineTuneOptions): void {
  const place = 'fineTune';
  knownKeys(place, options, fineTuneNames);
  const { baseLr = 1, freezeEpochs = 1, lrMult = 1, pctStart = 0, div = 1, ...rest } = options;
  needPositive(place, 'baseLr', baseLr);
  needPositive(place, 'lrMult', lrMult);
  needCount(place, 'freezeEpochs', freezeEpochs);
  checkCall(place, epochs, 0, { ...rest, pctStart, div }, oneCycleNames);
}
