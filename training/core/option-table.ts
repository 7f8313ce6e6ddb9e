import { knownKeys } from './known-keys.ts';

/** One option: its value when it is omitted, and what throws `bad-argument` unless a value will do. */
interface OptionRow<T> {
  /** Is checked when it is missing too. */
  readonly required?: true;
  readonly check?: (where: string, name: string, value: T) => void;
}

/** A row for every option of T; those named in D have a default. */
export type OptionTable<T, D extends keyof T = never> = {
  readonly [K in keyof T]-?: OptionRow<Required<T>[K]> &
    (K extends D ? { readonly default: Required<T>[K] } : { readonly default?: undefined });
};

/** Options whose D are never missing. */
export type Resolved<T, D extends keyof T> = T & Required<Pick<T, D>>;

/** The options with their defaults, all checked; throws `bad-argument`, also for a name that the table lacks. */
export function resolveOptions<T extends object, D extends keyof T>(
  where: string,
  table: OptionTable<T, D>,
  options: T,
): Resolved<T, D> {
  knownKeys(where, options, Object.keys(table));
  const rows = Object.entries(table) as [string, OptionRow<unknown> & { readonly default?: unknown }][];
  const resolved = { ...options } as Record<string, unknown>;
  for (const [name, row] of rows) {
    if (resolved[name] === undefined && row.default !== undefined) resolved[name] = row.default;
    if (resolved[name] !== undefined || row.required) row.check?.(where, name, resolved[name]);
  }
  return resolved as Resolved<T, D>;
}
