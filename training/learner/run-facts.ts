/** What decides a run's result, as JSON: two runs with the same facts do the same. */
export type RunFacts = { readonly [name: string]: unknown };

const isPlain = (value: unknown): value is RunFacts =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNames = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

/** Lists of file names are long: only what came and what went is said. */
function namesDifference(path: string, before: readonly string[], now: readonly string[]): string {
  const [old, fresh] = [new Set(before), new Set(now)];
  const added = now.filter((name) => !old.has(name));
  const gone = before.filter((name) => !fresh.has(name));
  const show = (word: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`${names.length} ${word}: ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''}`];
  return `${path}: ${[...show('new', added), ...show('gone', gone)].join('; ') || 'another order'}`;
}

function differences(path: string, before: unknown, now: unknown): string[] {
  if (isPlain(before) && isPlain(now)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return names.flatMap((name) => differences(path === '' ? name : `${path}.${name}`, before[name], now[name]));
  }
  const [old, fresh] = [JSON.stringify(before), JSON.stringify(now)];
  if (old === fresh) return [];
  if (isNames(before) && isNames(now)) return [namesDifference(path, before, now)];
  return [`${path} was ${old ?? 'not set'}, is ${fresh ?? 'not set'}`];
}

/** What is not the same in two runs, the first three things of it; undefined when nothing is. */
export function showDifference(before: RunFacts, now: RunFacts): string | undefined {
  const all = differences('', before, JSON.parse(JSON.stringify(now)));
  return all.length === 0 ? undefined : all.slice(0, 3).join('; ') + (all.length > 3 ? `; and ${all.length - 3} more` : '');
}
