import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { createRng, type Rng } from '../core/rng.ts';
import { applyDamages, damagedImage, parseDamages } from '../pictures/damage/registry.node.ts';
import { decodeRgb } from '../pictures/decode.node.ts';
import { resizeImage } from '../pictures/image-io.node.ts';
import { cachedDecoder } from '../pictures/photo-cache.ts';
import { type Size, scaleSize, shortSideOf, sizeForShortSide } from '../pictures/sizes.ts';
import { type Rect, sampleWindow } from '../pictures/transforms/pixels.ts';
import { type Choices, choose, type DamageSpec } from './damage-spec.ts';
import type { Sampler } from './fill.ts';
import { type SampleSpec, type SampleViews, withChannels } from './sample.ts';

/** What a sample is made by: the damage, and the side of its square crop. */
interface Making extends DamageSpec {
  readonly size: number;
}

/** The target's short side: uniform over the multiples of `scale` allowed by the options and the photo. */
function targetShortSide(photo: Image, { size, shortSide }: Making, scale: number, zoom: number): number {
  const own = shortSideOf(photo);
  const least = Math.ceil(Math.max(shortSide.min, size) / scale);
  ensure(own >= size, 'bad-data', () => {
    return `photo: expected a short side of at least ${size} px, got ${own}; train with a smaller size`;
  });
  const most = Math.floor(Math.min(shortSide.max, own) / scale);
  return (
    scale * (most <= least ? Math.max(most, Math.ceil(size / scale)) : least + Math.floor(zoom * (most - least + 1)))
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
async function damagedSample(
  photo: Image,
  rng: Rng,
  choices: Choices,
  making: Making,
  views: SampleViews,
): Promise<void> {
  const { recipe, flip } = choices;
  const shortSide = targetShortSide(photo, making, recipe.scale, choices.zoom);
  const small = sizeForShortSide(photo, shortSide / recipe.scale);
  // The target's size is always `scale` times the damaged picture's: the two then line up pixel for pixel.
  const target = scaleSize(small, recipe.scale);
  const crop = placeCrop(target, making.size, choices);
  const y = await resizeImage(photo, target, { kernel: making.kernel, flip, window: crop });
  sampleWindow(y, 1, { ...crop, x: 0, y: 0 }, views.y as Float32Array);
  if (recipe.damage === 'none') return views.x.set(views.y);
  const base = await resizeImage(photo, small, { kernel: 'linear', flip });
  const damages = parseDamages(recipe.damage, shortSideOf(small));
  const x = await damagedImage(await applyDamages(damages, base, rng));
  ensure(x.width === small.width && x.height === small.height, 'bad-argument', () => {
    return `recipe '${recipe.damage}': expected a damage that keeps ${small.width}x${small.height}, got ${x.width}x${x.height}; omit its shortSide`;
  });
  sampleWindow(x, recipe.scale, crop, views.x);
}

/** Writes x and y of a photo and its damaged copy: zoomed, mirrored and cropped alike. */
async function copiedSample(
  [photo, damaged]: readonly [Image, Image],
  choices: Choices,
  making: Making,
  views: SampleViews,
): Promise<void> {
  const { flip } = choices;
  const target = sizeForShortSide(photo, targetShortSide(photo, making, 1, choices.zoom));
  const window = placeCrop(target, making.size, choices);
  const whole = { ...window, x: 0, y: 0 };
  const y = await resizeImage(photo, target, { kernel: making.kernel, flip, window });
  sampleWindow(y, 1, whole, views.y as Float32Array);
  sampleWindow(await resizeImage(damaged, target, { kernel: 'linear', flip, window }), 1, whole, views.x);
}

/** damagedSampler: makes samples whose x is the damaged y; `cacheBytes` of decoded photos are kept. Throws `bad-argument` on an unknown damage. */
export function damagedSampler(
  { size, channels }: SampleSpec,
  damage: DamageSpec,
  seed: number,
  cacheBytes: number,
): Sampler {
  for (const recipe of damage.recipes) if (recipe.damage !== 'none') parseDamages(recipe.damage);
  const making: Making = { ...damage, size: size.width };
  // A large JPEG is read at a fraction of its size.
  const decode = cachedDecoder((path) => decodeRgb(path, damage.shortSide.max), cacheBytes);
  const inMemory = (image: Image): Image => withChannels(image, channels);
  return async ({ name, source, target }, { part, epoch, round, item }, views) => {
    const training = part === 'train';
    const rng = createRng(...(training ? [seed, 'sample', epoch, round, item] : [seed, 'sample', part]), name);
    const photo = typeof source === 'string' ? await decode(source) : inMemory(source);
    const choices = choose(rng, damage, training);
    if (Array.isArray(target)) return damagedSample(photo, rng, choices, making, views);
    const copy = typeof target === 'string' ? await decodeRgb(target) : inMemory(target as Image);
    return copiedSample([photo, copy], choices, making, views);
  };
}
