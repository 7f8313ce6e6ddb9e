import { constant, cosine, type OneCycleOptions, oneCycle, type Schedule, split } from '../optim/schedules.ts';

/** How learning rate and momentum go over a run. */
export interface Policy {
  /** Factor on the learning rate of every group. */
  readonly lr: Schedule;
  /** Momentum, Adam's beta1; the optimiser's own when left out. */
  readonly mom?: Schedule;
}

/** The same rate all the time. */
export const constantPolicy: Policy = { lr: constant(1) };

/** fastai's one-cycle policy: see {@link oneCycle}. */
export const oneCyclePolicy = (options: Omit<OneCycleOptions, 'lrMax'> = {}): Policy =>
  oneCycle({ ...options, lrMax: 1 });

/** Flat for the share `pctStart`, then half a cosine down to 1 / divFinal. */
export const flatCosPolicy = ({ pctStart = 0.75, divFinal = 1e5 } = {}): Policy => ({
  lr: split(pctStart, constant(1), cosine(1, 1 / divFinal)),
});
