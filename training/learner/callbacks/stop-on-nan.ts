import { allFinite, firstBadTensor } from '../health.ts';
import type { Callback } from '../learner.ts';

/**
 * Ends the run as soon as the loss or a gradient is not finite, before the update, so that the parameters stay as they
 * were; `onStop` is told which tensor went bad first.
 */
export const stopOnNan = (onStop: (text: string) => void = () => {}): Callback => ({
  name: 'stopOnNan',
  order: -20,
  afterGradients: ({ state, progress, batch, loss, stop }) => {
    if (Number.isFinite(loss) && allFinite(state.grads)) return;
    const first = firstBadTensor(state, batch) ?? 'loss';
    onStop(`stopped in epoch ${progress.epoch}, batch ${progress.batch}: ${first} is not finite (loss ${loss})`);
    stop();
  },
});
