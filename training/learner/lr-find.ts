import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { needCount, needPositive } from '../core/numbers.ts';
import type { Tensors } from '../run/session.ts';
import { smoothed } from './callbacks/record.ts';
import { batchesOf } from './input.ts';
import type { Learner } from './learner.ts';

export interface LrFindOptions {
  /** 1e-7 and 10 by default. */
  readonly startLr?: number;
  readonly endLr?: number;
  /** Updates; 100 by default. */
  readonly iterations?: number;
  /** Stops when the smoothed loss is above four times its best; true by default. */
  readonly stopDiverged?: boolean;
}

export interface LrFound {
  /** What was tried, and the smoothed loss at each. */
  readonly lrs: readonly number[];
  readonly losses: readonly number[];
  /** In the middle of the longest descent, fastai's default. */
  readonly valley: number;
  /** Where the smoothed loss falls fastest. */
  readonly steep: number;
  /** A tenth of the rate with the lowest loss. */
  readonly minimum: number;
}

/** Batches without end, epoch after epoch. */
async function* endless(learner: Learner): AsyncGenerator<Tensors> {
  const { train } = learner.options.data;
  for (let epoch = 0; ; epoch++) {
    let any = false;
    for await (const { x, y } of batchesOf('lrFind', train, epoch)) {
      any = true;
      yield { x, y };
    }
    ensure(any, 'bad-data', () => 'lrFind: expected a training loader with batches, got an empty one');
  }
}

/** A copy of everything that training changes; the function puts it back. */
function keepState({ state }: Learner): () => void {
  const arrays = [state.params, state.buffers, state.grads, ...state.moments];
  const copies = arrays.map((array) => array.slice());
  const { step } = state;
  return () => {
    arrays.forEach((array, i) => {
      array.set(copies[i]!);
    });
    state.step = step;
  };
}

const optionNames = namesOf<LrFindOptions>({ startLr: true, endLr: true, iterations: true, stopDiverged: true });
/** Losses that suggestions need at least. */
const leastLosses = 10;

/** Smith's range test: updates with rates rising exponentially from `startLr` to `endLr`. */
export async function findLearningRate(learner: Learner, options: LrFindOptions): Promise<LrFound> {
  const { startLr = 1e-7, endLr = 10, iterations = 100, stopDiverged = true } = options;
  knownKeys('lrFind', options, optionNames);
  needPositive('lrFind', 'startLr', startLr);
  needPositive('lrFind', 'endLr', endLr);
  ensure(startLr < endLr, 'bad-argument', () => `lrFind: expected rates that rise, got ${startLr} to ${endLr}`);
  needCount('lrFind', 'iterations', iterations, leastLosses);
  const restore = keepState(learner);
  const lrs: number[] = [];
  const raw: number[] = [];
  let best = Number.POSITIVE_INFINITY;
  try {
    for await (const batch of endless(learner)) {
      const lr = startLr * (endLr / startLr) ** (lrs.length / (iterations - 1));
      const loss = await learner.gradients(batch, learner.options.seed);
      if (!Number.isFinite(loss)) break;
      lrs.push(lr);
      raw.push(loss);
      const smooth = smoothed(raw).at(-1)!;
      best = Math.min(best, smooth);
      if (lrs.length === iterations || (stopDiverged && smooth > 4 * best)) break;
      await learner.update(learner.hyperAt(0, lr, { lr: () => 1 }));
    }
  } finally {
    restore();
  }
  const losses = smoothed(raw);
  return { lrs, losses, ...suggestLr(lrs, losses) };
}

/** The three suggestions from rates (rising) and smoothed losses; the first tenth and the last five are omitted, as noise. */
export function suggestLr(
  allLrs: readonly number[],
  allLosses: readonly number[],
): Pick<LrFound, 'valley' | 'steep' | 'minimum'> {
  ensure(allLrs.length >= leastLosses, 'bad-data', () => {
    return `lrFind: expected at least ${leastLosses} finite losses, got ${allLrs.length}; start with a lower rate or look at the data`;
  });
  const skip = Math.floor(allLrs.length / 10);
  const end = allLrs.length - Math.min(5, skip);
  const [lrs, losses] = [allLrs.slice(skip, end), allLosses.slice(skip, end)];
  const lowest = losses.indexOf(Math.min(...losses));
  return { valley: lrs[valleyIndex(losses)]!, steep: lrs[steepestIndex(lrs, losses)]!, minimum: lrs[lowest]! / 10 };
}

/** The middle of the longest falling subsequence of the losses, counted back from its bottom: fastai's `valley`. */
function valleyIndex(losses: readonly number[]): number {
  const length = losses.map(() => 1);
  let end = 0;
  for (let i = 1; i < losses.length; i++) {
    for (let j = 0; j < i; j++) if (losses[i]! < losses[j]!) length[i] = Math.max(length[i]!, length[j]! + 1);
    if (length[i]! > length[end]!) end = i;
  }
  const start = Math.max(0, end - length[end]!);
  return start + Math.floor((end - start) / 2);
}

/** Where the slope over log10(lr) is lowest, by central differences; the ends are omitted as noisy. */
function steepestIndex(lrs: readonly number[], losses: readonly number[]): number {
  const slope = (i: number): number =>
    (losses[i + 1]! - losses[i - 1]!) / (Math.log10(lrs[i + 1]!) - Math.log10(lrs[i - 1]!));
  let best = 1;
  for (let i = 2; i < losses.length - 1; i++) if (slope(i) < slope(best)) best = i;
  return best;
}
