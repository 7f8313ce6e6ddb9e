import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensure } from '../../training/core/errors.ts';

type Option = string | number | boolean;
type Typed<D> = { readonly [K in keyof D]: D[K] extends number ? number : D[K] extends boolean ? boolean : string };

function wholeNumber(name: string, text: unknown): number {
  const value = Number(text);
  ensure(Number.isInteger(value) && value >= 1, 'bad-argument', () => {
    return `bench: expected a whole number for --${name}, got ${text}`;
  });
  return value;
}

/**
 * benchOptions: the command line of a bench: an option for each of the defaults, of its type (numbers are whole, from 1), and
 * `rows`, the names behind them. Of `known` names an unknown one throws, and none are all.
 */
export function benchOptions<D extends Readonly<Record<string, Option>>>(
  defaults: D,
  known?: readonly string[],
): Typed<D> & { readonly rows: readonly string[] } {
  const options = Object.entries(defaults).map(([name, value]) => {
    return [name, typeof value === 'boolean' ? { type: 'boolean' as const } : { type: 'string' as const }] as const;
  });
  const { values, positionals } = parseArgs({ allowPositionals: true, options: Object.fromEntries(options) });
  const unknown = positionals.find((name) => known?.includes(name) === false);
  ensure(unknown === undefined, 'bad-argument', () => `bench: expected rows of ${known}, got ${unknown}`);
  const typed = Object.entries(defaults).map(([name, value]) => {
    const given = values[name] ?? value;
    return [name, typeof value === 'number' ? wholeNumber(name, given) : given];
  });
  return { ...Object.fromEntries(typed), rows: positionals.length > 0 ? positionals : (known ?? []) };
}

/** Options of a race against PyTorch. */
export const raceDefaults = { rounds: 20, threads: 2, python: '/usr/bin/python3' };

/** inFolder: runs `body` with a folder for its files, which is removed afterwards. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-bench-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
