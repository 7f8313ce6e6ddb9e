import { ensure } from '../../core/errors.ts';
import { createRng } from '../../core/rng.ts';
import { type Tensor, tensor } from '../../core/tensor.ts';

/** Tokens and those that follow them: x and y i32[B,T], y[b,t] = x[b,t+1]. */
export interface StreamBatch {
  readonly x: Tensor<'int32'>;
  readonly y: Tensor<'int32'>;
}

export interface TokenStreamOptions {
  /** Word ids of the whole text, one long line. */
  readonly tokens: Int32Array;
  readonly batchSize: number;
  /** Tokens per step (T), the length of back-propagation through time. */
  readonly bptt: number;
  /**
   * `exact` (default): every batch has T = bptt, but for a shorter last one. `random`: lengths vary from epoch to epoch as in
   * Merity et al., "Regularizing and Optimizing LSTM Language Models", 2017, section 5: around bptt, or with a chance of
   * 5 % around half of it, with a standard deviation of 5, at least 5, at most bptt + 25.
   */
  readonly lengths?: 'exact' | 'random';
  /** Leaves out a last batch shorter than bptt (graphs of fixed shape want that in training); default false. */
  readonly dropLast?: boolean;
  /** Of random lengths; default 1. */
  readonly seed?: number;
}

/** A text as batches in which every mini-batch continues the last one: row b goes on where row b ended. */
export interface TokenStream {
  /** Tokens of each of the B rows, one of which is only a target. */
  readonly rowLength: number;
  /** Batches of an epoch; lengths may depend on it. */
  batchesPerEpoch(epoch?: number): number;
  /** Targets of an epoch: the sum of B * T over its batches. */
  targetsPerEpoch(epoch?: number): number;
  /** Batches `fromBatch` (default 0) .. of an epoch; the same for the same (seed, epoch). */
  epoch(epoch?: number, options?: { readonly fromBatch?: number }): IterableIterator<StreamBatch>;
}

/** The lengths T of an epoch's batches: they add up to `total`, or less where the last one is dropped. */
function batchLengths(total: number, epoch: number, options: TokenStreamOptions): number[] {
  const { bptt, lengths = 'exact', dropLast = false, seed = 1 } = options;
  const rng = createRng(seed, 'bptt', epoch);
  const next = (): number => {
    if (lengths === 'exact') return bptt;
    const mean = rng.next() < 0.95 ? bptt : bptt / 2;
    return Math.min(bptt + 25, Math.max(5, Math.trunc(mean + 5 * rng.normal())));
  };
  const found: number[] = [];
  for (let left = total; left > 0; ) {
    const wanted = next();
    if (dropLast && wanted > left) break;
    found.push(Math.min(wanted, left));
    left -= wanted;
  }
  return found;
}

/**
 * tokenStream: cuts the text into `batchSize` rows of equal length, floor(tokens / B) each (a rest is left out), and walks along
 * all rows at once. The state of a recurrent network can so be carried from batch to batch.
 */
export function tokenStream(options: TokenStreamOptions): TokenStream {
  const { tokens, batchSize, bptt } = options;
  ensure(batchSize >= 1 && bptt >= 1 && Number.isInteger(batchSize) && Number.isInteger(bptt), 'bad-argument', () => {
    return `tokenStream: expected whole batchSize and bptt >= 1, got ${batchSize} and ${bptt}`;
  });
  const rowLength = Math.floor(tokens.length / batchSize);
  ensure(rowLength >= 2, 'bad-data', () => {
    return `tokenStream: expected at least ${2 * batchSize} tokens for ${batchSize} rows, got ${tokens.length}; lower batchSize`;
  });
  const lengthsOf = (epoch: number): number[] => batchLengths(rowLength - 1, epoch, options);
  /** Columns start..start+T of all rows. */
  const cut = (start: number, length: number): Tensor<'int32'> => {
    const data = new Int32Array(batchSize * length);
    for (let row = 0; row < batchSize; row++) {
      const from = row * rowLength + start;
      data.set(tokens.subarray(from, from + length), row * length);
    }
    return tensor('int32', [batchSize, length], data);
  };
  return {
    rowLength,
    batchesPerEpoch: (epoch = 0) => lengthsOf(epoch).length,
    targetsPerEpoch: (epoch = 0) => batchSize * lengthsOf(epoch).reduce((sum, length) => sum + length, 0),
    *epoch(epoch = 0, { fromBatch = 0 } = {}) {
      let start = 0;
      for (const [index, length] of lengthsOf(epoch).entries()) {
        if (index >= fromBatch) yield { x: cut(start, length), y: cut(start + 1, length) };
        start += length;
      }
    },
  };
}

/** textOf: ids -> their words with spaces between (fastai's `textify`). */
export const textOf = (ids: Int32Array, vocab: readonly string[]): string =>
  Array.from(ids, (id) => vocab[id] ?? `<${id}>`).join(' ');
