import type { Callback } from '../../loop/fit-loop.ts';
import { allFinite, firstBadTensor } from '../../loop/health.ts';

/**
 * Ends the run as soon as the loss or a gradient is not finite, before the update, so that the weights stay as they
 * were; `onStop` receives the name of the first bad tensor. A validation loss that is not finite ends the run after that epoch.
 */
export function stopOnNan(onStop: (text: string) => void = () => {}): Callback {
  let buffers = new Float32Array(0);
  return {
    name: 'stopOnNan',
    order: -20,
    beforeFit: ({ state }) => {
      buffers = new Float32Array(state.buffers.length);
    },
    beforeBatch: ({ state }) => buffers.set(state.buffers),
    afterGradients: ({ state, progress, batch, loss, stop }) => {
      if (Number.isFinite(loss) && allFinite(state.grads)) return;
      const first = firstBadTensor(state, batch) ?? 'loss';
      onStop(`stopped in epoch ${progress.epoch}, batch ${progress.batch}: ${first} is not finite (loss ${loss})`);
      // The forward pass has taken the bad batch into the running statistics.
      state.buffers.set(buffers);
      stop();
    },
    afterValidate: ({ row, stop }) => {
      const { valid_loss: loss = 0 } = row!.metrics;
      const trouble = row!.notFinite ?? (Number.isFinite(loss) ? undefined : `valid_loss is ${loss}`);
      if (trouble === undefined) return;
      onStop(`stopped after epoch ${row!.epoch}: ${trouble}`);
      stop();
    },
  };
}
