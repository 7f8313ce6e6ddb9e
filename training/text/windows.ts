import { ensure } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';
import { type Tensor, tensor } from '../core/tensor.ts';

/** Windows of a text: x int32[N,T], T words of N places; y int32[N,T], those that follow them. With `ahead`, x int32[N,T+1] holds both. */
export interface WindowBatch {
  readonly x: Tensor<'int32'>;
  readonly y: Tensor<'int32'>;
}

export interface TextWindowsOptions {
  /** Word ids of the whole text, one long line. */
  readonly tokens: Int32Array;
  /** N: rows, each of which walks along its own part of the text. */
  readonly batchSize: number;
  /** T: words per step, the length of back-propagation through time. */
  readonly bptt: number;
  /** x has the word that follows its last one too, for nets that compute their loss themselves; false by default. */
  readonly ahead?: boolean;
  /** Every epoch begins at another of the first T words, so that the cuts between windows are not always the same; false by default. */
  readonly jitter?: boolean;
  /** Omits a last window shorter than T, which would need a graph of its own; false by default. Always so with jitter. */
  readonly dropLast?: boolean;
  /** Of the jitter; 1 by default. */
  readonly seed?: number;
  /** Is called before the first batch of an epoch. */
  readonly onBegin?: () => void;
}

/** A text as a learner's loader. */
export interface TextWindows {
  readonly batchesPerEpoch: number;
  /** Words of a text that are predicted in an epoch. */
  readonly targets: number;
  epoch(epoch: number, options?: { readonly fromBatch?: number }): AsyncGenerator<WindowBatch>;
}

/**
 * textWindows: the text as `batchSize` rows of equal length (a rest is omitted), all of which are walked along at once, so that every
 * batch continues the last one: the word after a window's last is the first that the next window predicts from.
 */
export function textWindows(options: TextWindowsOptions): TextWindows {
  const { tokens, batchSize, bptt, ahead = false, jitter = false, dropLast = jitter, seed = 1, onBegin } = options;
  for (const [name, value] of Object.entries({ batchSize, bptt }))
    ensure(Number.isInteger(value) && value >= 1, 'bad-argument', () => {
      return `textWindows: expected a whole ${name} >= 1, got ${value}`;
    });
  const rowLength = Math.floor(tokens.length / batchSize);
  const span = rowLength - 1 - (jitter ? bptt - 1 : 0);
  const whole = Math.floor(span / bptt);
  const batchesPerEpoch = whole + (dropLast || jitter || span % bptt === 0 ? 0 : 1);
  ensure(span >= 1 && batchesPerEpoch >= 1, 'bad-data', () => {
    return `textWindows: expected at least ${batchSize * ((jitter ? 2 : 1) * bptt + 1)} words for ${batchSize} rows of ${bptt}, got ${tokens.length}; give more text (retrain: more posts), or lower batchSize (--batch) or bptt (--bptt)`;
  });
  const cut = (start: number, length: number): Tensor<'int32'> => {
    const data = new Int32Array(batchSize * length);
    for (let row = 0; row < batchSize; row++) {
      const from = row * rowLength + start;
      data.set(tokens.subarray(from, from + length), row * length);
    }
    return tensor('int32', [batchSize, length], data);
  };
  return {
    batchesPerEpoch,
    targets: batchSize * Math.min(span, batchesPerEpoch * bptt),
    async *epoch(epoch, { fromBatch = 0 } = {}) {
      const offset = jitter ? createRng(seed, 'jitter', epoch).int(0, bptt - 1) : 0;
      if (fromBatch === 0) onBegin?.();
      for (let batch = fromBatch; batch < batchesPerEpoch; batch++) {
        const start = offset + batch * bptt;
        const length = Math.min(bptt, rowLength - 1 - start);
        yield { x: cut(start, ahead ? length + 1 : length), y: cut(start + 1, length) };
      }
    },
  };
}
