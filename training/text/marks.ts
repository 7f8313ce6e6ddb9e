/*
 * Where marks usually stand, which tokeniser and detokeniser must agree on: a mark that stands otherwise at a word is written with
 * what it is joined to: `@-@` between two words (as in WikiText), `@+` behind one (20+), `~@` before one (~30).
 */

/** Marks that follow what is before them without a space. */
export const leftMarks: ReadonlySet<string> = new Set([...',.;:!?)]}%…”’»']);
/** Marks that what follows comes after without a space. */
export const rightMarks: ReadonlySet<string> = new Set([...'([{$£€¥“‘«¿¡']);
/** Marks that do the one or the other in turn. */
export const quoteMarks: ReadonlySet<string> = new Set(['"', "'"]);

/** A mark as a token: `behind` a word without a space, and right `before` one. */
export function markToken(mark: string, behind: boolean, before: boolean): string {
  if (behind && before) return `@${mark}@`;
  if (quoteMarks.has(mark) || !(behind || before)) return mark;
  // As `@@` it would be one behind a word.
  if (mark === '@' && !behind) return mark;
  if (behind) return leftMarks.has(mark) ? mark : `@${mark}`;
  return rightMarks.has(mark) ? mark : `${mark}@`;
}

const joint = /^(@?)([^\s\p{L}\p{M}\p{N}_])(@?)$/u;

/** The mark of a token that {@link markToken} wrote with an `@` on some side; undefined for all others. */
export function jointMark(
  token: string,
): { readonly mark: string; readonly left: boolean; readonly right: boolean } | undefined {
  // Of @@ the first is the sign.
  const [, left = '', mark = '', right = ''] = (token === '@@' ? ['', '@', '@', ''] : joint.exec(token)) ?? [];
  return left === '' && right === '' ? undefined : { mark, left: left !== '', right: right !== '' };
}
