import { join } from 'node:path';
import { createRng } from '../../training/core/rng.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { epochOrder } from '../../training/data/order.ts';
import { readIdx } from '../../training/data/sources.node.ts';
import type { Batch, Loader } from '../../training/learner/learner.ts';

/** Side of a digit in pixels. */
const SIDE = 28;
/** Mean and standard deviation of the training pixels / 255. */
const MEAN = 0.1307;
const STD = 0.3081;
/** What a pixel of the border is: black. */
const BLACK = -MEAN / STD;

export interface Digits {
  /** u8[N,28,28]. */
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** The digits of `part` (`train` or `t10k`) from the idx files in `folder`. */
export async function readDigits(folder: string, part: 'train' | 't10k'): Promise<Digits> {
  const read = async (name: string): Promise<Uint8Array> =>
    (await readIdx(join(folder, `${part}-${name}-ubyte.gz`))).data as Uint8Array;
  return { images: await read('images-idx3'), labels: await read('labels-idx1') };
}

export interface DigitOptions {
  readonly batchSize: number;
  /** Shuffles, moves every digit by up to `pad` pixels, and drops the last batch if it is smaller; by (seed, epoch, digit). */
  readonly train?: { readonly seed: number; readonly pad: number };
}

/** Copies a digit moved by (dx, dy) into `out`, normalised; what comes from outside is black. */
function place(source: Uint8Array, out: Float32Array, dx: number, dy: number): void {
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const [fromX, fromY] = [x + dx, y + dy];
      const inside = fromX >= 0 && fromX < SIDE && fromY >= 0 && fromY < SIDE;
      out[y * SIDE + x] = inside ? (source[fromY * SIDE + fromX]! / 255 - MEAN) / STD : BLACK;
    }
  }
}

/**
 * Batches of digits: x f32[N,1,28,28] normalised, y int32[N]. The library's data block with `randPad(3, 'zeros')` gives the
 * same digits in the same order, but draws their moves from other random streams and rounds the last bit of a pixel
 * otherwise. The published runs were made with these batches, so they stay.
 */
export function digitLoader({ images, labels }: Digits, { batchSize, train }: DigitOptions): Loader {
  const count = labels.length;
  const batchesPerEpoch = train ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  const batchOf = (items: readonly number[], epoch: number): Batch => {
    const x: Tensor = {
      dtype: 'float32',
      dims: [items.length, 1, SIDE, SIDE],
      data: new Float32Array(items.length * SIDE ** 2),
    };
    items.forEach((item, i) => {
      const rng = createRng(train?.seed ?? 0, 'pad', epoch, item);
      const pad = train?.pad ?? 0;
      const source = images.subarray(item * SIDE ** 2, (item + 1) * SIDE ** 2);
      place(source, (x.data as Float32Array).subarray(i * SIDE ** 2), rng.int(-pad, pad), rng.int(-pad, pad));
    });
    return { x, y: { dtype: 'int32', dims: [items.length], data: Int32Array.from(items, (item) => labels[item]!) } };
  };
  return {
    batchesPerEpoch,
    async *epoch(epoch, { fromBatch = 0 } = {}) {
      const order = train
        ? epochOrder(count, count, train.seed, epoch).map(({ item }) => item)
        : Array.from({ length: count }, (_, i) => i);
      for (let i = fromBatch; i < batchesPerEpoch; i++)
        yield batchOf(order.slice(i * batchSize, (i + 1) * batchSize), epoch);
    },
  };
}
