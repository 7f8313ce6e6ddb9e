import { ensure, FettleError } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { createRng, type Rng } from '../core/rng.ts';
import { applyDamages, damagedImage, parseDamages } from '../pictures/damage/registry.node.ts';
import { decodeRgb } from '../pictures/decode.node.ts';
import { type Kernel, resizeImage } from '../pictures/image-io.node.ts';
import type { ImageItem, PairItem } from '../pictures/items.node.ts';
import { cachedDecoder, type Decoder } from '../pictures/photo-cache.ts';
import { type Size, scaleSize, shortSideOf, sizeForShortSide } from '../pictures/sizes.ts';
import { type Rect, sampleWindow } from '../pictures/transforms/pixels.ts';

/** One way of damaging the photo of a sample. */
export interface Recipe {
  /** Relative chance. */
  readonly weight: number;
  /** A `--damage` list, or `none`: x is y. */
  readonly damage: string;
  /** The damage works at 1/scale of the target's size and its result is enlarged bilinearly. */
  readonly scale: 1 | 2;
}

/** What a sample of the pair loader is made by. */
export interface SampleOptions {
  /** Side of the square crops, in pixels. */
  readonly size: number;
  /** Random zoom: the target's short side is uniform in [shortSideMin, shortSideMax] px; never above the photo's own. */
  readonly shortSideMin: number;
  readonly shortSideMax: number;
  /** Probability of mirroring left-right. */
  readonly flip: number;
  readonly recipes: readonly Recipe[];
  /** Probability of cropping from where numbers start (the crop's corner in the upper-left quarter of its range). */
  readonly textBias: number;
  /** How the target is resized. A network learns its sharpness, so this is the kernel it will be judged with. */
  readonly targetKernel: Kernel;
}

/** Views of one sample inside a batch, f32[3,size,size] each. */
export interface SampleViews {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** The random choices that do not depend on the photo's size, drawn first and always in this order. */
interface Choices {
  readonly recipe: Recipe;
  readonly flip: boolean;
  readonly zoom: number;
  readonly cropX: number;
  readonly cropY: number;
}

/** The recipe at `share` 0..1 of the recipes' weights laid end to end. */
function pickRecipe(recipes: readonly Recipe[], share: number): Recipe {
  let left = share * recipes.reduce((sum, { weight }) => sum + weight, 0);
  for (const recipe of recipes) {
    if (left < recipe.weight) return recipe;
    left -= recipe.weight;
  }
  return recipes.at(-1)!;
}

function choose(rng: Rng, options: SampleOptions): Choices {
  const recipe = pickRecipe(options.recipes, rng.next());
  const [flip, zoom, cropX, cropY] = [rng.next() < options.flip, rng.next(), rng.next(), rng.next()];
  const range = rng.next() < options.textBias ? 0.5 : 1;
  return { recipe, flip, zoom, cropX: cropX * range, cropY: cropY * range };
}

/** The target's short side: uniform over the multiples of `scale` allowed by the options and the photo. */
function targetShortSide(photo: Image, options: SampleOptions, scale: number, zoom: number): number {
  const own = shortSideOf(photo);
  const least = Math.ceil(Math.max(options.shortSideMin, options.size) / scale);
  ensure(own >= options.size, 'bad-data', () => {
    return `photo: expected a short side of at least ${options.size} px, got ${own}; train with a smaller size`;
  });
  const most = Math.floor(Math.min(options.shortSideMax, own) / scale);
  return (
    scale *
    (most <= least ? Math.max(most, Math.ceil(options.size / scale)) : least + Math.floor(zoom * (most - least + 1)))
  );
}

/** The crop's place in the target. */
const placeCrop = (target: Size, size: number, { cropX, cropY }: Choices): Rect => ({
  x: Math.floor(cropX * (target.width - size + 1)),
  y: Math.floor(cropY * (target.height - size + 1)),
  width: size,
  height: size,
});

/** Writes x and y of a photo that is damaged on the fly. */
async function damagedSample(photo: Image, rng: Rng, options: SampleOptions, views: SampleViews): Promise<void> {
  const choices = choose(rng, options);
  const { recipe, flip } = choices;
  const shortSide = targetShortSide(photo, options, recipe.scale, choices.zoom);
  const small = sizeForShortSide(photo, shortSide / recipe.scale);
  // The target's size is always `scale` times the damaged picture's: the two then line up pixel for pixel.
  const target = scaleSize(small, recipe.scale);
  const crop = placeCrop(target, options.size, choices);
  const y = await resizeImage(photo, target, { kernel: options.targetKernel, flip, window: crop });
  sampleWindow(y, 1, { ...crop, x: 0, y: 0 }, views.y);
  if (recipe.damage === 'none') return views.x.set(views.y);
  const base = await resizeImage(photo, small, { kernel: 'linear', flip });
  const damages = parseDamages(recipe.damage, shortSideOf(small));
  const x = await damagedImage(await applyDamages(damages, base, rng));
  ensure(x.width === small.width && x.height === small.height, 'bad-argument', () => {
    return `recipe '${recipe.damage}': expected a damage that keeps ${small.width}x${small.height}, got ${x.width}x${x.height}; leave out its shortSide`;
  });
  sampleWindow(x, recipe.scale, crop, views.x);
}

/** Writes x and y of a photo and its damaged copy from disk: zoomed, mirrored and cropped alike. */
async function storedSample(
  [photo, damaged]: readonly [Image, Image],
  rng: Rng,
  options: SampleOptions,
  views: SampleViews,
): Promise<void> {
  const choices = choose(rng, options);
  const { flip } = choices;
  const target = sizeForShortSide(photo, targetShortSide(photo, options, 1, choices.zoom));
  const window = placeCrop(target, options.size, choices);
  const whole = { ...window, x: 0, y: 0 };
  sampleWindow(await resizeImage(photo, target, { kernel: options.targetKernel, flip, window }), 1, whole, views.y);
  sampleWindow(await resizeImage(damaged, target, { kernel: 'linear', flip, window }), 1, whole, views.x);
}

/** photoDecoder: how samples read photos: a large JPEG at a fraction of its size; `cacheBytes` of pixels are kept. */
export const photoDecoder = ({ shortSideMax }: SampleOptions, cacheBytes: number): Decoder =>
  cachedDecoder((path) => decodeRgb(path, shortSideMax), cacheBytes);

/** writeSample: fills `views` with the item's sample for this key; the same key gives the same bytes in any thread. */
export async function writeSample(
  item: ImageItem | PairItem,
  key: readonly (number | string)[],
  options: SampleOptions,
  views: SampleViews,
  decode: Decoder,
): Promise<void> {
  const rng = createRng(...key, item.name);
  const photo = await decode(item.path);
  if ('damagedPath' in item) await storedSample([photo, await decodeRgb(item.damagedPath)], rng, options, views);
  else await damagedSample(photo, rng, options, views);
}

/** checkSampleOptions: throws `bad-argument` on sizes or recipes that cannot work. */
export function checkSampleOptions({ size, shortSideMin, shortSideMax, recipes }: SampleOptions): void {
  const fail = (text: string): never => {
    throw new FettleError('bad-argument', `createPairLoader: ${text}`);
  };
  if (shortSideMin > shortSideMax)
    fail(`expected shortSideMin <= shortSideMax, got ${shortSideMin} and ${shortSideMax}`);
  if (shortSideMax < size || size < 2) fail(`expected 2 <= size <= shortSideMax, got ${size} and ${shortSideMax}`);
  if (recipes.length === 0 || recipes.some(({ weight }) => !(weight > 0))) fail('expected recipes of positive weight');
  for (const { damage } of recipes) if (damage !== 'none') parseDamages(damage);
}
