import { ensure, FettleError } from '../../core/errors.ts';
import type { Image } from '../../core/image.ts';
import type { Rng } from '../../core/rng.ts';
import { decodeJpeg, encodeJpeg, type JpegFile } from '../image-io.node.ts';
import { grey } from './grey.ts';
import { jpeg } from './jpeg.node.ts';
import { lesson } from './lesson.node.ts';
import { noise } from './noise.ts';
import { numberText } from './number-text.ts';
import { shrink } from './shrink.node.ts';
import type { Damage, Damaged, DamageOptions, DamagePlugin, OptionValue, Range } from './types.ts';

/** Every damage there is. To add one: write its file, import it, and add it here. */
export const damagePlugins: readonly DamagePlugin[] = [lesson, jpeg, shrink, noise, grey, numberText];

const fail = (text: string): never => {
  throw new FettleError('bad-argument', `damage: ${text}`);
};

/** Reads one option's text as the kind of value its default is. */
function parseValue(option: string, text: string, sample: OptionValue): OptionValue {
  if (typeof sample === 'boolean') {
    ensure(text === 'true' || text === 'false', 'bad-argument', () => {
      return `damage: expected true or false for ${option}, got '${text}'`;
    });
    return text === 'true';
  }
  const numbers = text.split('-').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  const wanted = typeof sample === 'number' ? 1 : 2;
  ensure(numbers.length <= wanted && numbers.every(Number.isFinite), 'bad-argument', () => {
    return `damage: expected a number${wanted === 2 ? ' or a range low-high' : ''} for ${option}, got '${text}'`;
  });
  return wanted === 1 ? numbers[0]! : [numbers[0]!, numbers.at(-1)!];
}

/** Throws unless a numeric option lies within its limits. */
function checkValue(where: string, value: OptionValue, limits: Range | undefined): void {
  if (typeof value === 'boolean' || limits === undefined) return;
  const [low, high] = typeof value === 'number' ? [value, value] : value;
  ensure(low >= limits[0] && high <= limits[1] && low <= high, 'bad-argument', () => {
    return `damage: expected ${where} within ${limits[0]}..${limits[1]}, got ${low === high ? low : `${low}-${high}`}`;
  });
}

/** createDamage: a damage by name with some of its options; throws `bad-argument` naming what is allowed. */
export function createDamage(name: string, options: DamageOptions = {}): Damage {
  const plugin = damagePlugins.find((candidate) => candidate.name === name);
  if (plugin === undefined)
    return fail(`expected one of ${damagePlugins.map((p) => p.name).join(', ')}, got '${name}'`);
  const settled = { ...plugin.defaults, ...options };
  for (const [option, value] of Object.entries(settled)) {
    if (!(option in plugin.defaults)) {
      const known = Object.keys(plugin.defaults).join(', ') || 'none';
      return fail(`expected an option of ${name} (${known}), got '${option}'`);
    }
    checkValue(`${name}:${option}`, value, plugin.limits[option]);
  }
  return { name, apply: async (image, rng) => plugin.apply(image, rng, settled) };
}

/** One element of a `--damage` list, `noise:sigma=20:mono=true`, as a name and options. */
function parseOne(text: string): { name: string; options: DamageOptions } {
  const [name = '', ...rest] = text.trim().split(':');
  const defaults = damagePlugins.find((plugin) => plugin.name === name)?.defaults ?? {};
  const options = rest.map((pair) => {
    const [option = '', value = ''] = pair.split('=');
    const sample = defaults[option];
    // An unknown option is reported by createDamage, which knows the allowed ones.
    return [option, sample === undefined ? 0 : parseValue(`${name}:${option}`, value, sample)] as const;
  });
  return { name, options: Object.fromEntries(options) };
}

/**
 * parseDamages: `jpeg,noise:sigma=20` -> damages, applied in that order. `shortSide`, where given, is the default for
 * every damage that shrinks: training picks its own resolutions.
 */
export function parseDamages(list: string, shortSide?: number): Damage[] {
  return list.split(',').map((text) => {
    const { name, options } = parseOne(text);
    const shrinks = damagePlugins.some((plugin) => plugin.name === name && 'shortSide' in plugin.defaults);
    return createDamage(name, shrinks && shortSide !== undefined ? { shortSide, ...options } : options);
  });
}

/** The pixels of what a damage left. */
export const damagedImage = async (damaged: Damaged): Promise<Image> =>
  'bytes' in damaged ? decodeJpeg(damaged) : damaged;

/** A damage's result as a JPEG file: the file itself if the last damage made one, else quality 95 without subsampling. */
export const damagedJpeg = async (damaged: Damaged): Promise<JpegFile> =>
  'bytes' in damaged ? damaged : encodeJpeg(damaged, 95, '4:4:4');

/** applyDamages: one after the other, each on the pixels that the one before left. */
export async function applyDamages(damages: readonly Damage[], image: Image, rng: Rng): Promise<Damaged> {
  let damaged: Damaged = image;
  for (const damage of damages) damaged = await damage.apply(await damagedImage(damaged), rng);
  return damaged;
}
