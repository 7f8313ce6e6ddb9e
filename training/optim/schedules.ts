/** A hyper-parameter as a function of progress 0..1. */
export type Schedule = (progress: number) => number;

export const constant =
  (value: number): Schedule =>
  () =>
    value;

/** Half a cosine from `start` to `end`. */
export const cosine =
  (start: number, end: number): Schedule =>
  (progress) =>
    end + ((start - end) / 2) * (1 + Math.cos(Math.PI * progress));

/** `first` over the first `share` of progress, then `second`, each run through wholly. */
export const split =
  (share: number, first: Schedule, second: Schedule): Schedule =>
  (progress) =>
    progress < share ? first(progress / share) : second(share >= 1 ? 1 : (progress - share) / (1 - share));

export interface OneCycleOptions {
  readonly lrMax: number;
  /** Share of the run in which the rate rises: fastai's `pct_start`. */
  readonly pctStart?: number;
  readonly div?: number;
  readonly divFinal?: number;
  /** Momentum (Adam's beta1) at start, top and end. */
  readonly moms?: readonly [number, number, number];
}

/** fastai v2's one-cycle policy (Smith 2018): cosine up from lrMax/div to lrMax, cosine down to lrMax/divFinal. */
export function oneCycle({
  lrMax,
  pctStart = 0.25,
  div = 25,
  divFinal = 1e5,
  moms = [0.95, 0.85, 0.95],
}: OneCycleOptions): { readonly lr: Schedule; readonly mom: Schedule } {
  return {
    lr: split(pctStart, cosine(lrMax / div, lrMax), cosine(lrMax, lrMax / divFinal)),
    mom: split(pctStart, cosine(moms[0], moms[1]), cosine(moms[1], moms[2])),
  };
}
