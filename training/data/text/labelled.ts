import { ensure } from '../../core/errors.ts';
import { createRng } from '../../core/rng.ts';
import { type Tensor, tensor } from '../../core/tensor.ts';
import { paddingId } from './vocab.ts';

/** A text as word ids, and its class. */
export interface LabelledText {
  readonly ids: Int32Array;
  readonly label: number;
}

export interface LabelledTextsOptions {
  readonly texts: readonly LabelledText[];
  readonly batchSize: number;
  /** Texts are padded to the next of these; of longer ones the beginning is left out. 16, 32, 64, 128, 256 when left out. */
  readonly lengths?: readonly number[];
  /** Other batches in every epoch, all of them full; false when left out: every text once, in the order of their lengths. */
  readonly shuffle?: boolean;
  /** 1 when left out. */
  readonly seed?: number;
}

interface Group {
  readonly length: number;
  readonly texts: readonly LabelledText[];
}

/** Texts of similar lengths together: x int32[N,T] with xxpad behind each text, y int32[N]. */
export interface LabelledTexts {
  readonly batchesPerEpoch: number;
  epoch(
    epoch: number,
    options?: { readonly fromBatch?: number },
  ): AsyncGenerator<{ readonly x: Tensor<'int32'>; readonly y: Tensor<'int32'> }>;
}

/** Batches of a list of texts: what does not fill one of its length goes to the next longer one, and at last to `rest`. */
function groupsOf(
  texts: readonly LabelledText[],
  lengths: readonly number[],
  batchSize: number,
): { full: Group[]; rest: Group | undefined } {
  const full: Group[] = [];
  let waiting: LabelledText[] = [];
  const fits = ({ ids }: LabelledText): number => lengths.find((length) => ids.length <= length) ?? lengths.at(-1)!;
  for (const length of lengths) {
    waiting = [...waiting, ...texts.filter((text) => fits(text) === length)];
    while (waiting.length >= batchSize) full.push({ length, texts: waiting.splice(0, batchSize) });
  }
  const longest = Math.max(1, ...waiting.map(fits));
  return { full, rest: waiting.length > 0 ? { length: longest, texts: waiting } : undefined };
}

const usualLengths = [16, 32, 64, 128, 256];

/** One text as it is in a batch: int32[T]. */
export function paddedText(ids: Int32Array, lengths: readonly number[] = usualLengths): Tensor<'int32'> {
  const length = [...lengths].sort((a, b) => a - b).find((one) => ids.length <= one) ?? Math.max(...lengths);
  return tensor('int32', [length], batchOf({ length, texts: [{ ids, label: 0 }] }).x.data);
}

function batchOf({ length, texts }: Group) {
  const data = new Int32Array(texts.length * length).fill(paddingId);
  for (const [row, { ids }] of texts.entries()) data.set(ids.subarray(-length), row * length);
  return {
    x: tensor('int32', [texts.length, length], data),
    y: tensor(
      'int32',
      [texts.length],
      Int32Array.from(texts, ({ label }) => label),
    ),
  };
}

/** labelledTexts: texts with classes as a learner's loader; few different lengths, because every shape costs a graph. */
export function labelledTexts(options: LabelledTextsOptions): LabelledTexts {
  const { texts, batchSize, lengths = usualLengths, shuffle = false, seed = 1 } = options;
  const empty = texts.findIndex(({ ids }) => ids.length === 0);
  ensure(texts.length > 0 && empty === -1, 'bad-data', () => {
    return `labelledTexts: expected texts with words, got ${empty === -1 ? 'none' : `none in text ${empty}`}`;
  });
  ensure(
    Number.isInteger(batchSize) && batchSize >= 1 && (!shuffle || batchSize <= texts.length),
    'bad-argument',
    () => {
      return `labelledTexts: expected a whole batchSize in 1..${texts.length}, got ${batchSize}`;
    },
  );
  const sorted = [...lengths].sort((a, b) => a - b);
  const batches = (epoch: number): readonly Group[] => {
    if (!shuffle) {
      const { full, rest } = groupsOf(texts, sorted, batchSize);
      return rest === undefined ? full : [...full, rest];
    }
    const rng = createRng(seed, 'texts', epoch);
    // How many fit which length does not depend on their order, so every epoch has as many batches.
    return rng.shuffle(groupsOf(rng.shuffle(texts), sorted, batchSize).full);
  };
  return {
    batchesPerEpoch: batches(0).length,
    async *epoch(epoch, { fromBatch = 0 } = {}) {
      for (const group of batches(epoch).slice(fromBatch)) yield batchOf(group);
    },
  };
}
