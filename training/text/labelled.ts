import { ensure } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';
import { type Tensor, tensor } from '../core/tensor.ts';
import { paddingId } from './vocab.ts';

interface Ids {
  readonly ids: Int32Array;
}

/** A text as word ids, and its class. */
export interface LabelledText extends Ids {
  readonly label: number;
}

/** A text as word ids, and a label for each of them, {@link noLabel} where there is none. */
export interface TaggedText extends Ids {
  readonly labels: Int32Array;
}

/** The label of padding, and of words that have none. */
export const noLabel = -1;

interface PaddedTextsOptions<T extends Ids> {
  readonly texts: readonly T[];
  readonly batchSize: number;
  /** Texts are padded to the next of these; of longer ones the beginning is omitted. 16, 32, 64, 128, 256 by default. */
  readonly lengths?: readonly number[];
  /** Other batches in every epoch, all of them full; false by default: every text once, in the order of their lengths. */
  readonly shuffle?: boolean;
  /** 1 by default. */
  readonly seed?: number;
}

export type LabelledTextsOptions = PaddedTextsOptions<LabelledText>;
export type TaggedTextsOptions = PaddedTextsOptions<TaggedText>;

interface Group<T extends Ids> {
  readonly length: number;
  readonly texts: readonly T[];
}

/** Texts of similar lengths together: x int32[N,T] with xxpad behind each text, y int32[N] or [N,T]. */
export interface PaddedTexts {
  readonly batchesPerEpoch: number;
  epoch(
    epoch: number,
    options?: { readonly fromBatch?: number },
  ): AsyncGenerator<{ readonly x: Tensor<'int32'>; readonly y: Tensor<'int32'> }>;
}

/** Batches of a list of texts: what does not fill one of its length goes to the next longer one, and at last to `rest`. */
function groupsOf<T extends Ids>(
  texts: readonly T[],
  lengths: readonly number[],
  batchSize: number,
): { full: Group<T>[]; rest: Group<T> | undefined } {
  const full: Group<T>[] = [];
  let waiting: T[] = [];
  const fits = ({ ids }: T): number => lengths.find((length) => ids.length <= length) ?? lengths.at(-1)!;
  for (const length of lengths) {
    waiting = [...waiting, ...texts.filter((text) => fits(text) === length)];
    while (waiting.length >= batchSize) full.push({ length, texts: waiting.splice(0, batchSize) });
  }
  const longest = Math.max(1, ...waiting.map(fits));
  return { full, rest: waiting.length > 0 ? { length: longest, texts: waiting } : undefined };
}

export const usualLengths: readonly number[] = [16, 32, 64, 128, 256];

/** int32[N,T]: lists of up to T numbers, of longer ones the end, with `filler` behind. */
function padded(lists: readonly Int32Array[], length: number, filler: number): Tensor<'int32'> {
  const data = new Int32Array(lists.length * length).fill(filler);
  for (const [row, list] of lists.entries()) data.set(list.subarray(-length), row * length);
  return tensor('int32', [lists.length, length], data);
}

/** One text as it is in a batch: int32[T]. */
export function paddedText(ids: Int32Array, lengths: readonly number[] = usualLengths): Tensor<'int32'> {
  const length = [...lengths].sort((a, b) => a - b).find((one) => ids.length <= one) ?? Math.max(...lengths);
  return tensor('int32', [length], padded([ids], length, paddingId).data);
}

function checkTexts({ texts, batchSize, shuffle = false }: PaddedTextsOptions<Ids>, where: string): void {
  const empty = texts.findIndex(({ ids }) => ids.length === 0);
  ensure(texts.length > 0 && empty === -1, 'bad-data', () => {
    return `${where}: expected texts with words, got ${empty === -1 ? 'none' : `none in text ${empty}`}`;
  });
  ensure(
    Number.isInteger(batchSize) && batchSize >= 1 && (!shuffle || batchSize <= texts.length),
    'bad-argument',
    () => `${where}: expected a whole batchSize in 1..${texts.length}, got ${batchSize}`,
  );
}

function paddedTexts<T extends Ids>(
  options: PaddedTextsOptions<T>,
  where: string,
  targets: (group: Group<T>) => Tensor<'int32'>,
): PaddedTexts {
  checkTexts(options, where);
  const { texts, batchSize, lengths = usualLengths, shuffle = false, seed = 1 } = options;
  const sorted = [...lengths].sort((a, b) => a - b);
  const batches = (epoch: number): readonly Group<T>[] => {
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
      for (const group of batches(epoch).slice(fromBatch)) {
        const lists = group.texts.map(({ ids }) => ids);
        yield { x: padded(lists, group.length, paddingId), y: targets(group) };
      }
    },
  };
}

/** labelledTexts: texts with classes as a learner's loader, y int32[N]; few different lengths, because every shape costs a graph. */
export const labelledTexts = (options: LabelledTextsOptions): PaddedTexts =>
  paddedTexts(options, 'labelledTexts', ({ texts }) => {
    const labels = Int32Array.from(texts, ({ label }) => label);
    return tensor('int32', [texts.length], labels);
  });

/** taggedTexts: texts with a label for each word as a learner's loader, y int32[N,T], {@link noLabel} on padding. */
export function taggedTexts(options: TaggedTextsOptions): PaddedTexts {
  const wrong = options.texts.findIndex(({ ids, labels }) => ids.length !== labels.length);
  ensure(wrong === -1, 'bad-data', () => {
    const { ids, labels } = options.texts[wrong]!;
    return `taggedTexts: expected a label for each of the ${ids.length} words of text ${wrong}, got ${labels.length}`;
  });
  return paddedTexts(options, 'taggedTexts', ({ texts, length }) => {
    const lists = texts.map(({ labels }) => labels);
    return padded(lists, length, noLabel);
  });
}

/** Texts in pieces of at most `length` words, so that none of their labels is lost. */
export const inPieces = (texts: readonly TaggedText[], length: number): TaggedText[] =>
  texts.flatMap(({ ids, labels }) =>
    Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ({
      ids: ids.subarray(i * length, (i + 1) * length),
      labels: labels.subarray(i * length, (i + 1) * length),
    })),
  );
