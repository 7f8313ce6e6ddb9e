const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNames = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

/** Lists of file names are long: only what was added and removed is reported. */
function namesDifference(path: string, before: readonly string[], now: readonly string[]): string {
  const [old, fresh] = [new Set(before), new Set(now)];
  const added = now.filter((name) => !old.has(name));
  const gone = before.filter((name) => !fresh.has(name));
  const show = (word: string, names: readonly string[]): string[] =>
    names.length === 0
      ? []
      : [`${names.length} ${word}: ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''}`];
  return `${path}: ${[...show('new', added), ...show('gone', gone)].join('; ') || 'another order'}`;
}

/** What is reported of facts whose values mean nothing to a user. */
const sayings: Readonly<Record<string, string>> = {
  graph:
    'the graph of model and loss is another (a layer, an option of the model or of the loss has changed, or this version of fettle builds it otherwise: then continue with the version that began the run)',
};

function differences(path: string, before: unknown, now: unknown): string[] {
  if (isPlain(before) && isPlain(now)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return names.flatMap((name) => differences(path === '' ? name : `${path}.${name}`, before[name], now[name]));
  }
  const [old, fresh] = [JSON.stringify(before), JSON.stringify(now)];
  if (old === fresh) return [];
  const saying = sayings[path];
  if (saying !== undefined && old !== undefined && fresh !== undefined) return [saying];
  if (isNames(before) && isNames(now)) return [namesDifference(path, before, now)];
  return [`${path || 'the run'} was ${old ?? 'not set'}, is ${fresh ?? 'not set'}`];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What is not the same in the descriptions (JSON) of two runs, the first three things of it; undefined when nothing is. */
export function showDifference(before: string, now: string): string | undefined {
  if (before === now) return undefined;
  const all = differences('', parsed(before), parsed(now));
  return all.length === 0 ? undefined : all.slice(0, 3).join('; ') + (all.length > 3 ? `; ${all.length - 3} more` : '');
}
