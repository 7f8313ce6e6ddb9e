import { constant, cosine, type OneCycleOptions, oneCycle, type Schedule, split } from '../optim/schedules.ts';

/** How learning rate and momentum go over a run. */
export interface Policy {
  /** Factor on the learning rate of every group. */
  readonly lr: Schedule;
  /** Momentum, Adam's beta1; the optimiser's own by default. */
  readonly mom?: Schedule;
}

/** The same rate all the time. */
export const constantPolicy: Policy = { lr: constant(1) };

/** fastai's one-cycle policy: see {@link oneCycle}. */
export const oneCyclePolicy = (options: Omit<OneCycleOptions, 'lrMax'> = {}): Policy =>
  oneCycle({ ...options, lrMax: 1 });

/**
 * Cosines from 1 down to 0, one after the other, each `mult` times as long as the one before (Loshchilov & Hutter 2017: SGDR).
 * Such a run has {@link sgdrEpochs} epochs.
 */
export function sgdrPolicy(cycles: number, mult: number): Policy {
  const lengths = Array.from({ length: cycles }, (_, i) => mult ** i);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return {
    lr: (done) => {
      let at = done * total;
      // What rounding leaves over belongs to the last cycle.
      const index = lengths.findIndex((length, i) => {
        if (at < length - 1e-9 || i === cycles - 1) return true;
        at -= length;
        return false;
      });
      return cosine(1, 0)(Math.min(1, Math.max(0, at) / lengths[index]!));
    },
  };
}

/** Epochs of `cycles` cycles, the first of `length` epochs and each `mult` times as long as the one before. */
export const sgdrEpochs = (cycles: number, length: number, mult: number): number =>
  Array.from({ length: cycles }, (_, i) => length * mult ** i).reduce((sum, one) => sum + one, 0);

/** Flat for the share `pctStart`, then half a cosine down to 1 / divFinal. */
export const flatCosPolicy = ({ pctStart = 0.75, divFinal = 1e5 } = {}): Policy => ({
  lr: split(pctStart, constant(1), cosine(1, 1 / divFinal)),
});
