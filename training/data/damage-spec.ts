import { ensure } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Kernel } from '../pictures/image-io.node.ts';

/** One way of damaging the photo of a sample. */
export interface Recipe {
  /** Relative chance. */
  readonly weight: number;
  /** A `--damage` list, or `none`: x is y. */
  readonly damage: string;
  /** The damage works at 1/scale of the target's size and its result is enlarged bilinearly. */
  readonly scale: 1 | 2;
}

/** How x is made from y. Plain data: it can travel to a thread. */
export interface DamageSpec {
  readonly recipes: readonly Recipe[];
  /** Random zoom: the target's short side is uniform in [min, max] px; never above the photo's own. */
  readonly shortSide: { readonly min: number; readonly max: number };
  /** Probability of mirroring left-right. */
  readonly flip: number;
  /** Probability of cropping from where numbers start (the crop's corner in the upper-left quarter of its range). */
  readonly textBias: number;
  /** How the target is resized. A network learns its sharpness, so this is the kernel it will be judged with. */
  readonly kernel: Kernel;
}

/** Mostly the lesson's damage, some plain JPEG, and some undamaged photos so that the model learns to leave them alone. */
const defaultRecipes: readonly Recipe[] = [
  { weight: 0.75, damage: 'lesson', scale: 2 },
  { weight: 0.1, damage: 'jpeg', scale: 1 },
  { weight: 0.15, damage: 'none', scale: 1 },
];

/** damageSpecOf: the options with their defaults for crops of `size` px; throws `bad-argument` on sizes or weights that cannot work. */
export function damageSpecOf(options: Partial<DamageSpec>, size: number): DamageSpec {
  const { recipes = defaultRecipes, shortSide = { min: size, max: 2 * size } } = options;
  const { min, max } = shortSide;
  const where = 'labels.damaged';
  ensure(min <= max, 'bad-argument', () => `${where}: expected shortSide.min <= shortSide.max, got ${min} and ${max}`);
  ensure(size >= 2 && max >= size, 'bad-argument', () => {
    return `${where}: expected 2 <= size <= shortSide.max, got ${size} and ${max}`;
  });
  ensure(recipes.length > 0 && recipes.every(({ weight }) => weight > 0), 'bad-argument', () => {
    return `${where}: expected recipes of positive weight, got [${recipes.map(({ weight }) => weight)}]`;
  });
  return { flip: 0.5, textBias: 0, kernel: 'linear', ...options, recipes, shortSide };
}

/** The random choices that do not depend on the photo's size, drawn first and always in this order. */
export interface Choices {
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

/** choose: the choices for a training sample; for validation the recipe alone is drawn: the middle, at a middle zoom, not mirrored. */
export function choose(rng: Rng, { recipes, flip: p, textBias }: DamageSpec, training: boolean): Choices {
  const recipe = pickRecipe(recipes, rng.next());
  if (!training) return { recipe, flip: false, zoom: 0.5, cropX: 0.5, cropY: 0.5 };
  const [flip, zoom, cropX, cropY] = [rng.next() < p, rng.next(), rng.next(), rng.next()];
  const range = rng.next() < textBias ? 0.5 : 1;
  return { recipe, flip, zoom, cropX: cropX * range, cropY: cropY * range };
}
