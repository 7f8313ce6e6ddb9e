import { FettleError } from './errors.ts';

/** Names as they are compared: `pct_start`, `PctStart` and `pctStart` are one. */
const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

/** Letters to put in, take out, replace or swap with their neighbours until `a` is `b` (Damerau 1964, each place edited once). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const other = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + other);
      row.push(swapped ? Math.min(least, rows[i - 2]![j - 2]! + 1) : least);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** nearestName: the one of `names` that `name` may have been meant as; undefined when none is alike in two thirds of its letters. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const rated = names.map((other) => ({ other, distance: editDistance(plain(name), plain(other)) }));
  const best = rated.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.max(1, name.length / 3) ? best.other : undefined;
}

/**
 * namesOf: the keys of T as a list that the compiler keeps whole: `namesOf<Options>({ lr: true, wd: true })` fails to compile when a key
 * is missing or too many.
 */
export const namesOf = <T>(table: Readonly<Record<keyof T & string, true>>): readonly string[] => Object.keys(table);

/**
 * knownKeys: throws `bad-argument` unless `options` is an object whose keys are all among `names`; the text has the unknown key, the
 * nearest known one and all of them. `where` begins it. JavaScript has no compiler that would state so, and a mistyped option is silently its default.
 */
export function knownKeys(where: string, options: object, names: readonly string[]): void {
  const shown = names.join(', ');
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? 'a list' : String(options);
    throw new FettleError(
      'bad-argument',
      `${where}: expected an object of options, got ${got}; there are ${shown || 'none'}`,
    );
  }
  const unknown = Object.keys(options).find((key) => !names.includes(key));
  if (unknown === undefined) return;
  const nearest = nearestName(unknown, names);
  const help = nearest === undefined ? 'omit it' : `did you mean ${nearest}?`;
  throw new FettleError(
    'bad-argument',
    `${where}: expected options of the names ${shown || '(none)'}, got ${unknown}; ${help}`,
  );
}
