import { ensure, messageOf } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { createRng } from '../../training/core/rng.ts';
import type { Failure } from '../../training/data/fill.ts';
import { applyDamages, damagedImage, parseDamages } from '../../training/pictures/damage/registry.node.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { resizeImage } from '../../training/pictures/image-io.node.ts';
import type { ImageItem, PairItem } from '../../training/pictures/items.node.ts';
import { type Size, scaleSize, shortSideOf, sizeForShortSide } from '../../training/pictures/sizes.ts';

/** A whole photo and its damaged copy; the target is exactly twice the damaged picture's size. */
export interface ValidationPair {
  readonly name: string;
  readonly target: Image;
  readonly damaged: Image;
}

/** A photo, or a photo with its damaged copy on disk. */
export type Item = ImageItem | PairItem;

export interface HeldOutOptions {
  /** Of the target, in pixels; even. The damaged picture has half. */
  readonly shortSide: number;
  /** A `--damage` list. */
  readonly damage: string;
  readonly seed: number;
}

/**
 * validationPair: the fixed protocol of restoration. The damage starts from the photo itself, with half of `shortSide` as its resolution; the
 * target is the photo resized (`linear`, as in the lesson) to twice the damaged picture's size, so its long side may differ by a pixel from
 * rounding it alone. Random choices come from (seed, 'valid', name). A damaged copy from disk is used as it is, both at the target's size.
 */
export async function validationPair(item: Item, { shortSide, damage, seed }: HeldOutOptions): Promise<ValidationPair> {
  ensure(Number.isInteger(shortSide / 2) && shortSide > 0, 'bad-argument', () => {
    return `validationPair: expected an even shortSide, got ${shortSide}`;
  });
  const { name, path } = item;
  const photo = await decodeRgb(path);
  const resized = (image: Image, size: Size): Promise<Image> => resizeImage(image, size, { kernel: 'linear' });
  if ('damagedPath' in item) {
    const size = sizeForShortSide(photo, Math.min(shortSide, shortSideOf(photo)));
    const damaged = await resized(await decodeRgb(item.damagedPath), size);
    return { name, target: await resized(photo, size), damaged };
  }
  const damages = parseDamages(damage, shortSide / 2);
  // A smaller photo is not enlarged: its target is its own size, even.
  const half = Math.max(1, Math.min(shortSide / 2, Math.floor(shortSideOf(photo) / 2)));
  const small = sizeForShortSide(photo, half);
  const target = await resized(photo, scaleSize(small, 2));
  const start = await resized(photo, small);
  const damaged = await damagedImage(await applyDamages(damages, start, createRng(seed, 'valid', name)));
  return { name, target, damaged };
}

/** A held-out picture and its pair. */
export interface HeldOut {
  readonly item: Item;
  readonly pair: ValidationPair;
}

/** readHeldOut: held-out pictures with their pairs, kept in memory at 8 bits; unreadable ones are reported. Throws `bad-data` when no picture is left. */
export async function readHeldOut(
  items: readonly Item[],
  seed: number,
  onFailure: (failure: Failure) => void,
): Promise<readonly HeldOut[]> {
  const held: HeldOut[] = [];
  for (const item of items) {
    try {
      held.push({ item, pair: await validationPair(item, { shortSide: 192, damage: 'lesson', seed }) });
    } catch (error) {
      onFailure({ name: item.name, reason: messageOf(error) });
    }
  }
  ensure(held.length > 0, 'bad-data', () => {
    return `train restore: expected a readable held-out picture, got none of ${items.length}; add pictures`;
  });
  return held;
}
