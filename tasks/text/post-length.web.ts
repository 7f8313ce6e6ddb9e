/** How long a post may be on X. */
export const postLimit = 280;

/** Source: configuration 3 of twitter-text: a character in these ranges counts one, every other two; a link counts 23. */
const lightRanges = [
  [0, 4351],
  [8192, 8205],
  [8208, 8223],
  [8242, 8247],
] as const;
const linkLength = 23;

const isLight = (point: number): boolean => lightRanges.some(([low, high]) => point >= low && point <= high);

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** An emoji counts two, of however many characters it is put together. */
function lengthOf(character: string): number {
  const points = Array.from(character, (one) => one.codePointAt(0)!);
  const isEmoji = /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u.test(character);
  if (isEmoji && !(points.length === 1 && isLight(points[0]!))) return 2;
  return points.reduce((sum, point) => sum + (isLight(point) ? 1 : 2), 0);
}

/** postLength: characters as X counts them. Links are known by their http:// or https:// alone; X knows bare domains too. */
export function postLength(text: string): number {
  const links = text.match(/https?:\/\/\S+/g)?.length ?? 0;
  const rest = text.normalize('NFC').replace(/https?:\/\/\S+/g, '');
  return Array.from(segmenter.segment(rest), ({ segment }) => lengthOf(segment)).reduce(
    (a, b) => a + b,
    linkLength * links,
  );
}
