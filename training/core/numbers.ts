import { ensure } from './errors.ts';

/* What options are asked to be; every text names place, wanted and got. */

/** A value as an error states it. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return `the function ${value.name || '(without a name)'}`;
  if (typeof value === 'string') return `the text '${value}'`;
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value)
    ? `a list of ${value.length}`
    : `an object with ${Object.keys(value).join(', ') || 'nothing'}`;
}

/** Throws `bad-argument` unless `holds`. */
export const need = (holds: boolean, where: string, wanted: string, got: unknown, help = ''): void =>
  ensure(holds, 'bad-argument', () => `${where}: expected ${wanted}, got ${shown(got)}${help && `; ${help}`}`);

export const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** A whole number, at least `least`. */
export const needCount = (where: string, name: string, value: unknown, least = 0): void =>
  need(Number.isInteger(value) && (value as number) >= least, where, `${name} as a whole number from ${least}`, value);

/** A finite number above 0. */
export const needPositive = (where: string, name: string, value: unknown): void =>
  need(isNumber(value) && value > 0, where, `${name} as a number above 0`, value);

/** A number from 0 to 1, both included. */
export const needShare = (where: string, name: string, value: unknown): void =>
  need(isNumber(value) && value >= 0 && value <= 1, where, `${name} as a number from 0 to 1`, value);

/** A finite number that is not negative. */
export const needNotNegative = (where: string, name: string, value: unknown): void =>
  need(isNumber(value) && value >= 0, where, `${name} as a number from 0`, value);
