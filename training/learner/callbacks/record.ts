import type { Hyper } from '../../loop/compile.ts';
import type { Callback } from '../../loop/fit-loop.ts';

const lastOf = (value: number | readonly number[] | undefined): number | undefined =>
  typeof value === 'number' ? value : value?.at(-1);

const numbersOf = (loss: number, hyper: Hyper): Record<string, number | undefined> => ({
  loss,
  lr: lastOf(hyper.lr),
  mom: lastOf(hyper.beta1 ?? hyper.momentum),
});

/** Keeps loss, learning rate (of the last group) and momentum of every batch in the progress: `series.loss`, `lr`, `mom`. */
export const recordSeries = (): Callback => ({
  name: 'recorder',
  order: -10,
  numbers: [],
  afterBatch: ({ progress, loss, hyper }) => {
    progress.series ??= {};
    for (const [name, value] of Object.entries(numbersOf(loss, hyper))) {
      if (value === undefined) continue;
      progress.series[name] ??= [];
      progress.series[name].push(value);
    }
  },
});

/** The series with each number replaced by the bias-corrected exponential mean so far, as fastai's AvgSmoothLoss. */
export function smoothed(values: readonly number[], beta = 0.98): number[] {
  let mean = 0;
  return values.map((value, i) => {
    mean = beta * mean + (1 - beta) * value;
    return mean / (1 - beta ** (i + 1));
  });
}
