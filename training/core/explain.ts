import type { z } from 'zod';

/** What was sent, in a few words. */
function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  const text = typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
};

/** `expected X, got Y` of an issue that a schema has with `value`; sentences of our own schemas stay. */
function explainIssue(issue: z.core.$ZodIssue, value: unknown): string {
  const at = issue.path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  const got = `, got ${describeValue(at)}`;
  const unit = typeof at === 'string' ? ' characters' : Array.isArray(at) ? ' entries' : '';
  if (issue.code === 'invalid_type') return `expected ${kinds[issue.expected] ?? issue.expected}${got}`;
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.join(', ')}${got}`;
  if (issue.code === 'too_small')
    return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unit}${got}`;
  if (issue.code === 'too_big')
    return `expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unit}${got}`;
  if (issue.code === 'invalid_union')
    return ('options' in issue ? `expected one of ${[issue.options].flat().join(', ')}` : issue.message) + got;
  return issue.message;
}

/** explainSchema: why `value` does not fit a schema -> the first field that is wrong, '' for the whole, and `expected X, got Y`. */
export function explainSchema(
  { issues: [issue] }: z.core.$ZodError,
  value: unknown,
): { readonly field: string; readonly message: string } {
  if (issue === undefined) return { field: '', message: 'expected something else' };
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys')
    return { field: [...path, issue.keys[0]].join('.'), message: 'there is no such field' };
  return { field: path.join('.'), message: explainIssue(issue, value) };
}

/** explainError: the same as one text, `field: expected X, got Y`. */
export function explainError(error: z.core.$ZodError, value: unknown): string {
  const { field, message } = explainSchema(error, value);
  return field === '' ? message : `${field}: ${message}`;
}
