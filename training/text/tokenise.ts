import { leftMarks, markToken } from './marks.ts';
import { isSpecial, special } from './special.ts';

/*
 * Words and special tokens after fastai's rules, from a text as people write it. What differs is there so that a text can be put
 * together again (see `detokenise`): words in mixed case (iPhone) stay as they are; a character between two words without
 * spaces is written as in WikiText, `@-@`; only whole tokens are folded by xxrep, so that no word is cut in the middle.
 */

const word = '[\\p{L}\\p{N}_]';
const wordRest = '[\\p{L}\\p{M}\\p{N}_]';
const mark = '[^\\s\\p{L}\\p{M}\\p{N}_]';
const pictograph = '\\p{Extended_Pictographic}[\\uFE0F\\p{Emoji_Modifier}]?';
/** Looks at one place only. */
const at = (source: string): RegExp => new RegExp(source, 'uy');

/** What begins with a mark, in the order in which it is tried; `alone`: not right behind a word. */
const marks: readonly { readonly kind: Kind; readonly alone?: boolean; readonly pattern: RegExp }[] = [
  { kind: 'unknown', pattern: at('<unk>') },
  { kind: 'name', alone: true, pattern: at(`[@#]${wordRest}+`) },
  {
    kind: 'other',
    pattern: at(`\\p{Regional_Indicator}{2}|[#*]\\uFE0F\\u20E3|${pictograph}(?:\\u200D${pictograph})*`),
  },
  { kind: 'other', pattern: at(`(?<!\\S)[:;]-?(?:[()]|[DP](?!${wordRest}))`) },
  { kind: 'contraction', pattern: at(`['’](?:[sS]|[rR][eE]|[vV][eE]|[lL][lL]|[dD]|[mM])(?!${wordRest})`) },
  { kind: 'other', pattern: at(`(?<=${wordRest} )@${mark}@(?= ${word})`) },
  { kind: 'mark', pattern: at(mark) },
  { kind: 'other', pattern: at('[^]') },
];
type Kind = 'unknown' | 'name' | 'contraction' | 'mark' | 'word' | 'other';

// What ends a sentence or closes a bracket around it does not belong to an address.
const address = at('(?:[hH][tT][tT][pP][sS]?://|[wW]{3}\\.)[^\\s<>]*[^\\s<>.,;:!?)\\]}"\'%…”’»]');
const wordPattern = at(`${word}${wordRest}*`);
const asciiWord = /[A-Za-z0-9_]+(?![A-Za-z0-9_]|[^ -~\n])/y;
const negation = at(`['’][tT](?!${wordRest})`);
const blank = /\s/;

/** The match of `pattern` at `place`, or undefined. */
function matchAt(pattern: RegExp, text: string, place: number): string | undefined {
  pattern.lastIndex = place;
  return pattern.exec(text)?.[0];
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};

/** Character references of HTML (&amp; &#39; &#x27; …) as characters, `<br>` as a line end; unknown ones stay. */
export const decodeHtml = (text: string): string =>
  text
    .replace(/<br\s*\/?>/gi, '\n')
    .replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/gi, (whole, decimal, hex, name) => {
      if (name !== undefined) return entities[String(name).toLowerCase()] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : whole;
    });

/** HTML decoded, Unicode's composed form, line ends as \n, no invisible characters, no space at the ends. */
export const tidyText = (text: string): string =>
  decodeHtml(text)
    .normalize('NFC')
    .replace(/\r\n?|\u2028|\u2029/g, '\n')
    .replace(/[\u200B\u2060\uFEFF\u00AD]/g, '')
    .replace(/[^\S\n]*\n[^\S\n]*/g, '\n')
    .trim();

/** First letter in upper case, the others as they are. */
export const capitalised = (text: string): string => {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length);
};

/** A word in lower case after a token that states which letters were capitals; as it is where that could not be undone. */
function withCase(text: string): readonly string[] {
  const lower = text.toLowerCase();
  if (lower === text) return [isSpecial(text) ? special.unknown : text];
  if (isSpecial(lower)) return [special.unknown];
  if (capitalised(lower) === text) return [special.capital, lower];
  return lower.toUpperCase() === text ? [special.capitals, lower] : [text];
}

/** A token as found, and what it is written as. */
interface Lexeme {
  readonly text: string;
  readonly tokens: readonly string[];
  readonly isWord: boolean;
}

const sameLetters = /^(\p{Ll})\1{2,}$/u;

function lexeme(kind: Kind, text: string): Lexeme {
  if (kind === 'unknown') return { text, tokens: [special.unknown], isWord: false };
  if (kind === 'contraction') return { text, tokens: withCase(text), isWord: true };
  if (kind !== 'word') return { text, tokens: [text], isWord: false };
  const run = sameLetters.test(text) ? [...text] : [];
  const tokens = run.length > 0 ? [special.repeated, String(run.length), run[0]!] : withCase(text);
  return { text, tokens, isWord: true };
}

/** Words come again and again; what they become is kept, for so many of them. */
const keptWords = 1 << 16;
const lexemeOfWord = new Map<string, Lexeme>();

function wordLexeme(text: string): Lexeme {
  const known = lexemeOfWord.get(text);
  if (known !== undefined) return known;
  if (lexemeOfWord.size >= keptWords) lexemeOfWord.clear();
  const made = lexeme('word', text);
  lexemeOfWord.set(text, made);
  return made;
}

/** What begins with the word at `place`: an address, the word, or the word and its negation (do | n't). */
function wordsAt(text: string, found: string, place: number): readonly Lexeme[] {
  const [first] = found;
  if (first === 'h' || first === 'w' || first === 'H' || first === 'W') {
    const whole = matchAt(address, text, place);
    if (whole !== undefined) return [lexeme('other', whole)];
  }
  const end = found.length - 1;
  const not = found[end] === 'n' || found[end] === 'N' ? matchAt(negation, text, place + end + 1) : undefined;
  if (not === undefined) return [wordLexeme(found)];
  const negated = lexeme('contraction', found[end]! + not);
  return end === 0 ? [negated] : [wordLexeme(found.slice(0, end)), negated];
}

const endsWord = at(`(?<=${wordRest})`);
const beginsWord = at(`(?=${word}|[@#]${wordRest})`);

/** A mark with what it is joined to; of a run of the same one, none is joined to anything, unless it stands between words. */
function markLexeme(text: string, found: string, place: number): Lexeme {
  const end = place + found.length;
  const behind = matchAt(endsWord, text, place) !== undefined;
  const before = matchAt(beginsWord, text, end) !== undefined;
  const inRun = text.endsWith(found, place) || text.startsWith(found, end);
  return { text: found, tokens: [inRun ? found : markToken(found, behind, before)], isWord: false };
}

function markAt(text: string, place: number): Lexeme {
  for (const { kind, alone, pattern } of marks) {
    if (alone && matchAt(endsWord, text, place) !== undefined) continue;
    const found = matchAt(pattern, text, place);
    if (found !== undefined) return kind === 'mark' ? markLexeme(text, found, place) : lexeme(kind, found);
  }
  return lexeme('other', text[place]!);
}

/** The lexemes of a tidy text, spaces omitted. */
function* lexemesOf(text: string): Generator<Lexeme> {
  for (let place = 0; place < text.length; ) {
    const char = text[place]!;
    if (char === ' ' || (char !== '\n' && blank.test(char))) {
      place += 1;
      continue;
    }
    const found = matchAt(asciiWord, text, place) ?? matchAt(wordPattern, text, place);
    const lexemes = found === undefined ? [markAt(text, place)] : wordsAt(text, found, place);
    yield* lexemes;
    for (const one of lexemes) place += one.text.length;
  }
}

/** From how many on the same one is written as a repetition: `!!` too, or its second mark would look like one of its own. */
const fewest = ({ text, isWord }: Lexeme): number => (!isWord && leftMarks.has(text) ? 2 : 3);

/** Writes `count` of the same one, as a repetition where there are enough. */
const folded = (one: Lexeme, count: number): readonly string[] => {
  const { tokens, isWord } = one;
  if (count < fewest(one) || tokens[0] === special.unknown) return Array.from({ length: count }, () => tokens).flat();
  return [isWord ? special.repeatedWord : special.repeated, String(count), ...tokens];
};

/**
 * tokenise: text -> words and special tokens; without xxbos. "Don't SHOUT!!!!" gives xxmaj do n't xxup shout xxrep 4 !. A word that is spelled
 * like a special token becomes xxunk, and so does `<unk>`.
 */
export function tokenise(text: string): string[] {
  const tokens: string[] = [];
  let [last, count]: [Lexeme | undefined, number] = [undefined, 0];
  for (const next of lexemesOf(tidyText(text))) {
    // The same mark may be joined to a word in one place and not in the next.
    const again = next.text === last?.text && next.tokens[0] === last.tokens[0];
    if (!again && last !== undefined) tokens.push(...folded(last, count));
    count = again ? count + 1 : 1;
    last = next;
  }
  if (last !== undefined) tokens.push(...folded(last, count));
  return tokens;
}
