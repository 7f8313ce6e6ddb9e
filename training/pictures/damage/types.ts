import type { Image } from '../../core/image.ts';
import type { Rng } from '../../core/rng.ts';
import type { JpegFile } from '../image-io.node.ts';

/** A number that varies from picture to picture: uniform in [low, high]. */
export type Range = readonly [low: number, high: number];

/** What an option may be. In a `--damage` list: `sigma=20`, `quality=10-70`, `mono=true`. */
export type OptionValue = number | Range | boolean;
export type DamageOptions = Readonly<Record<string, OptionValue>>;

/** What a damage leaves: pixels, or a finished JPEG file where the compression is the damage. */
export type Damaged = Image | JpegFile;

/** A damage with its options settled. `apply` takes every random choice from `rng`: same picture and stream, same bytes. */
export interface Damage {
  readonly name: string;
  apply(image: Image, rng: Rng): Promise<Damaged>;
}

/** One kind of damage: a file of this folder and a line of the registry. */
export interface DamagePlugin<O extends DamageOptions = DamageOptions> {
  readonly name: string;
  /** One line for `fettle crappify --help`, units included. */
  readonly describe: string;
  readonly defaults: O;
  /** Smallest and largest value that each numeric option may take. */
  readonly limits: Readonly<Partial<Record<keyof O, Range>>>;
  apply(image: Image, rng: Rng, options: O): Promise<Damaged> | Damaged;
}

/** Gives a plug-in's literal its types; the result fits the registry, whatever its options. */
export function defineDamage<O extends DamageOptions>(plugin: DamagePlugin<O>): DamagePlugin {
  return plugin as unknown as DamagePlugin;
}

/** Uniform real number in the range. */
export const uniform = (rng: Rng, [low, high]: Range): number => low + (high - low) * rng.next();
