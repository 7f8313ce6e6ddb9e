import { ensure, messageOf } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { createRng } from '../../training/core/rng.ts';
import type { Failure } from '../../training/data/fill.ts';
import { applyDamages, damagedImage, parseDamages } from '../../training/pictures/damage/registry.node.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { resizeImage } from '../../training/pictures/image-io.node.ts';
import type { ImageItem, PairItem } from '../../training/pictures/items.node.ts';
import { scaleSize, shortSideOf, sizeForShortSide } from '../../training/pictures/sizes.ts';

/** A whole photo and its damaged copy; the target is exactly twice the damaged picture's size. */
export interface ValidationPair {
  readonly name: string;
  readonly target: Image;
  readonly damaged: Image;
}

export interface ValidationOptions {
  /** Photos to damage, or pairs from disk, which are used as they are. */
  readonly items: readonly (ImageItem | PairItem)[];
  /** Of the target, in pixels; even. The damaged picture has half. */
  readonly shortSide: number;
  /** A `--damage` list. */
  readonly damage: string;
  readonly seed: number;
}

/** Pairs made one at a time as they are asked for, the same each time. */
export interface ValidationPairs extends AsyncIterable<ValidationPair> {
  readonly length: number;
  pair(index: number): Promise<ValidationPair>;
}

/**
 * createValidationPairs: the fixed protocol of restoration. The damage starts from the photo itself, with half of
 * `shortSide` as its resolution; the target is the photo resized (`linear`, as in the lesson) to twice the damaged picture's size, so its
 * long side may differ by a pixel from rounding it alone. Random choices come from (seed, 'valid', name).
 */
export function createValidationPairs({ items, shortSide, damage, seed }: ValidationOptions): ValidationPairs {
  ensure(Number.isInteger(shortSide / 2) && shortSide > 0, 'bad-argument', () => {
    return `createValidationPairs: expected an even shortSide, got ${shortSide}`;
  });
  const damages = parseDamages(damage, shortSide / 2);
  const pair = async (index: number): Promise<ValidationPair> => {
    const item = items[index]!;
    const { name, path } = item;
    const photo = await decodeRgb(path);
    if ('damagedPath' in item) return storedPair(item, photo, shortSide);
    // A smaller photo is not enlarged: its target is its own size, even.
    const half = Math.max(1, Math.min(shortSide / 2, Math.floor(shortSideOf(photo) / 2)));
    const small = sizeForShortSide(photo, half);
    const target = await resizeImage(photo, scaleSize(small, 2), { kernel: 'linear' });
    const start = await resizeImage(photo, small, { kernel: 'linear' });
    const damaged = await damagedImage(await applyDamages(damages, start, createRng(seed, 'valid', name)));
    return { name, target, damaged };
  };
  return {
    length: items.length,
    pair,
    async *[Symbol.asyncIterator]() {
      for (let i = 0; i < items.length; i++) yield await pair(i);
    },
  };
}

/** A photo and its damaged copy from disk, both at the target's size. */
async function storedPair({ name, damagedPath }: PairItem, photo: Image, shortSide: number): Promise<ValidationPair> {
  const size = sizeForShortSide(photo, Math.min(shortSide, shortSideOf(photo)));
  const damaged = await resizeImage(await decodeRgb(damagedPath), size, { kernel: 'linear' });
  return { name, target: await resizeImage(photo, size, { kernel: 'linear' }), damaged };
}

/** readPairs: held-out pictures with their pairs, kept in memory at 8 bits; unreadable ones are reported. Throws `bad-data` when no picture is left. */
export async function readPairs<T extends ImageItem | PairItem>(
  items: readonly T[],
  seed: number,
  onFailure: (failure: Failure) => void,
): Promise<{ readonly item: T; readonly pair: ValidationPair }[]> {
  const source = createValidationPairs({ items, shortSide: 192, damage: 'lesson', seed });
  const pairs: { readonly item: T; readonly pair: ValidationPair }[] = [];
  for (const [i, item] of items.entries()) {
    try {
      pairs.push({ item, pair: await source.pair(i) });
    } catch (error) {
      onFailure({ name: item.name, reason: messageOf(error) });
    }
  }
  ensure(pairs.length > 0, 'bad-data', () => {
    return `train restore: expected a readable held-out picture, got none of ${items.length}; add pictures`;
  });
  return pairs;
}
