/** What {@link maskSource} blanks out: comments always, the inside of strings only with `strings`. */
interface MaskOptions {
  readonly strings: boolean;
}

/** A function found in a source text; lines count from 1 and include the signature and the closing brace. */
export interface FunctionSpan {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

/** A `/` after one of these starts a regular expression, not a division; `a! / b` asserts and divides. */
const beforeRegex = /(?:^|[([{,;=:&|?+\-*%<>~^]|(?<![\w\])])!|\breturn|\btypeof|\bcase|=>)\s*$/;

/** Index just past the quoted text that opens at `start`; templates include their `${}` parts. */
function endOfQuoted(source: string, start: number): number {
  const quote = source[start];
  let depth = 0;
  for (let i = start + 1; i < source.length; i++) {
    if (source[i] === '\\') i++;
    else if (quote === '`' && source.startsWith('${', i)) depth++;
    else if (depth > 0 && source[i] === '}') depth--;
    else if (depth === 0 && source[i] === quote) return i + 1;
  }
  return source.length;
}

/** Index just past the regular expression that opens at `start`; a `/` inside a class does not end it. */
function endOfRegex(source: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < source.length; i++) {
    const c = source[i];
    if (c === '\\') i++;
    else if (c === '[') inClass = true;
    else if (c === ']') inClass = false;
    else if (c === '\n' || (c === '/' && !inClass)) return i + 1;
  }
  return source.length;
}

/** End of the comment, string or regular expression that starts at `i`, and whether to blank it; null for plain code. */
function literalAt(source: string, i: number, strings: boolean): { end: number; blank: boolean } | null {
  const c = source[i];
  if (source.startsWith('//', i)) return { end: lineEnd(source, i), blank: true };
  if (source.startsWith('/*', i)) {
    const close = source.indexOf('*/', i + 2);
    return { end: close < 0 ? source.length : close + 2, blank: true };
  }
  if (c === "'" || c === '"' || c === '`') return { end: endOfQuoted(source, i), blank: strings };
  const opensRegex = c === '/' && beforeRegex.test(source.slice(Math.max(0, i - 40), i));
  return opensRegex ? { end: endOfRegex(source, i), blank: strings } : null;
}

const lineEnd = (source: string, from: number): number => {
  const end = source.indexOf('\n', from);
  return end < 0 ? source.length : end;
};

/** `source` with comments (and, if asked, strings and regular expressions) turned into spaces; every index and line stays. */
export function maskSource(source: string, { strings }: MaskOptions): string {
  let out = '';
  for (let i = 0; i < source.length; ) {
    const literal = literalAt(source, i, strings);
    if (!literal) out += source[i++];
    else {
      const text = source.slice(i, literal.end);
      out += literal.blank ? text.replace(/[^\n]/g, ' ') : text;
      i = literal.end;
    }
  }
  return out;
}

/** One `import`, `export … from` or `import()`. */
export interface ImportLine {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** What a source text imports, in order; comments and strings that look like imports do not count. */
export function importsOf(source: string): ImportLine[] {
  const code = maskSource(source, { strings: false });
  const bare = maskSource(source, { strings: true });
  const isCode = (match: RegExpExecArray): boolean => bare[match.index + match[0].search(/\S/)] !== ' ';
  const pattern =
    /^\s*(?:import|export)\s+(type\s)?(?:[^'"`;]*?\sfrom\s*)?['"]([^'"\n]+)['"]|\bimport\s*\(\s*['"]([^'"\n]+)['"]/gm;
  return [...code.matchAll(pattern)]
    .filter(isCode)
    .map((m) => ({ specifier: m[2] ?? m[3]!, typeOnly: m[1] !== undefined }));
}

const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Index just past the bracket that closes the one at `open`; `code` is masked. */
function endOfGroup(code: string, open: number): number {
  const stack: string[] = [];
  for (let i = open; i < code.length; i++) {
    const c = code[i]!;
    if (closers[c]) stack.push(closers[c]);
    else if (c === stack.at(-1)) {
      stack.pop();
      if (stack.length === 0) return i + 1;
    }
  }
  return code.length;
}

/** Index of the body's `{` after a parameter list that ends at `from`, past a return type; -1 if there is no body. */
function bodyAfter(code: string, from: number): number {
  let i = from;
  let inType = false;
  for (; i < code.length; i++) {
    const c = code[i]!;
    if (/\s/.test(c)) continue;
    if (c === '{') {
      if (!inType || !/[:|&<,(=]$/.test(code.slice(0, i).trimEnd().slice(-1))) return i;
      i = endOfGroup(code, i) - 1;
    } else if (c === ':') inType = true;
    else if (!inType || c === ';') return -1;
    else if (c === '(' || c === '[') i = endOfGroup(code, i) - 1;
  }
  return -1;
}

/**
 * End of an arrow function whose `=>` ends at `from`: its block, or its expression up to the enclosing `,` `;` or
 * bracket. In `f(): () => void {` the arrow is a type, which ends at the body.
 */
function endOfArrow(code: string, from: number): number {
  let i = from;
  while (/\s/.test(code[i] ?? '')) i++;
  if (code[i] === '{') return endOfGroup(code, i);
  for (; i < code.length; i++) {
    if (code[i] === '{' && /[\w\]]\s*$|[^=]>\s*$/.test(code.slice(from, i))) return i;
    if (closers[code[i]!]) i = endOfGroup(code, i) - 1;
    else if (/[,;)\]}]/.test(code[i]!)) return i;
  }
  return i;
}

const notMethods = new Set([
  'if',
  'for',
  'while',
  'switch',
  'catch',
  'return',
  'function',
  'await',
  'with',
  'describe',
]);
const methodOrFunction =
  /(?:\bfunction\b\s*\*?\s*(\w*)|^[ \t]+(?:(?:async|static|get|set|override|private)\s+)*([\w#]+))\s*(<[^(){}]*>)?\(/gm;

/** Does a test suite open on this line? */
const isSuite = (head: string): boolean => /\bdescribe\b/.test(head);

/**
 * Functions of a source text that have a block body or span lines, found by brackets alone. One-line arrow expressions
 * are omitted (they would flatter the percentiles), and so are the `describe` blocks of tests.
 */
export function functionsOf(source: string): FunctionSpan[] {
  const code = maskSource(source, { strings: true });
  const breaks = [...code.matchAll(/\n/g)].map(({ index }) => index);
  const lineOf = (index: number): number => {
    let [low, high] = [0, breaks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (breaks[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
  const spans: FunctionSpan[] = [];
  const add = (name: string, start: number, end: number): void => {
    const line = lineOf(start);
    spans.push({ name, line, lines: lineOf(end) - line + 1 });
  };
  for (const match of code.matchAll(methodOrFunction)) {
    const name = match[1] ?? match[2]!;
    const open = match.index + match[0].length - 1;
    const head = code.slice(code.lastIndexOf('\n', match.index) + 1, match.index);
    const left = notMethods.has(name) || isSuite(head);
    const body = left ? -1 : bodyAfter(code, endOfGroup(code, open));
    if (body >= 0) add(name || '(anonymous)', match.index + match[0].search(/\S/), endOfGroup(code, body));
  }
  for (const match of code.matchAll(/=>/g)) {
    const start = code.lastIndexOf('\n', match.index) + 1;
    const head = code.slice(start, match.index);
    const end = endOfArrow(code, match.index + 2);
    const oneLine = lineOf(end) === lineOf(match.index);
    const isBlock = code
      .slice(match.index + 2, end)
      .trimStart()
      .startsWith('{');
    if (isSuite(head) || (oneLine && !isBlock)) continue;
    add(/(\w+)\s*(?::[^=]*)?=\s*(?:async\s*)?[(\w<]/.exec(head)?.[1] ?? '(arrow)', match.index, end);
  }
  return spans.sort((a, b) => a.line - b.line);
}
