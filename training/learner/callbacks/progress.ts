import { knownKeys, namesOf } from '../../core/known-keys.ts';
import { need } from '../../core/numbers.ts';
import type { Callback, FitContext } from '../../loop/fit-loop.ts';
import { describeRow } from '../../loop/recorder.ts';

export interface ProgressOptions {
  /** Takes the text, e.g. `(text) => process.stderr.write(text)`. */
  readonly write: (text: string) => void;
  /** Whether a bar is drawn over itself, as on a terminal; else there is one line per epoch. */
  readonly bar?: boolean;
}

const barWidth = 24;
/** At most this often, in milliseconds. */
const intervalMs = 100;

function barOf({ progress, epochs, batches, loss }: FitContext): string {
  const full = Math.round((progress.batch / batches) * barWidth);
  const bar = '#'.repeat(full).padEnd(barWidth, '.');
  return `epoch ${progress.epoch + 1}/${epochs} [${bar}] ${progress.batch}/${batches} loss ${loss.toPrecision(4)}`;
}

/** Shows how far a run is: a bar that moves with the batches, and a line for each epoch. */
export function showProgress(options: ProgressOptions): Callback {
  knownKeys('showProgress', options, namesOf<ProgressOptions>({ write: true, bar: true }));
  const { write, bar = false } = options;
  need(typeof write === 'function', 'showProgress', 'write as a function (text) => …', write);
  let shown = 0;
  const clear = bar ? '\r\u001b[K' : '';
  return {
    name: 'showProgress',
    numbers: [],
    afterBatch: (context) => {
      const last = context.progress.batch === context.batches;
      if (!bar || (!last && performance.now() - shown < intervalMs)) return;
      shown = performance.now();
      write(`${clear}${barOf(context)}`);
    },
    afterEpoch: ({ row }) => write(`${clear}${describeRow(row!)}\n`),
  };
}
