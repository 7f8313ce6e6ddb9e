/*
 * A stroke font for plots, drawn by us: pictures look the same on machines without any font. Each glyph is a list of
 * strokes on a grid of 4 columns (a-e) and 9 rows (0-8): capitals and digits stand on rows 0-6, small letters on 2-6,
 * tails reach 8. `a0e6` is a line from the top left to the bottom right of a capital.
 */
const strokes: Readonly<Record<string, string>> = {
  '0': 'b0d0e1e5d6b6a5a1b0',
  '1': 'b1c0c6',
  '2': 'a1b0d0e1e2a6e6',
  '3': 'a0e0c2d2e3e5d6b6a5',
  '4': 'd6d0a4e4',
  '5': 'e0a0a3b2d2e3e5d6b6a5',
  '6': 'd0b0a2a5b6d6e5e4d3b3a4',
  '7': 'a0e0b6',
  '8': 'b0d0e1e2d3b3a2a1b0 b3a4a5b6d6e5e4d3',
  '9': 'b6d6e4e1d0b0a1a2b3d3e2',
  A: 'a6c0e6 b4d4',
  B: 'a6a0d0e1e2d3a3 d3e4e5d6a6',
  C: 'e1d0b0a1a5b6d6e5',
  D: 'a0c0e2e4c6a6a0',
  E: 'e0a0a6e6 a3d3',
  F: 'e0a0a6 a3d3',
  G: 'e1d0b0a1a5b6d6e5e3c3',
  H: 'a0a6 e0e6 a3e3',
  I: 'c0c6 b0d0 b6d6',
  J: 'e0e5d6b6a5',
  K: 'a0a6 e0a3e6',
  L: 'a0a6e6',
  M: 'a6a0c3e0e6',
  N: 'a6a0e6e0',
  O: 'b0d0e1e5d6b6a5a1b0',
  P: 'a6a0d0e1e2d3a3',
  Q: 'b0d0e1e5d6b6a5a1b0 c4e7',
  R: 'a6a0d0e1e2d3a3 c3e6',
  S: 'e1d0b0a1a2b3d3e4e5d6b6a5',
  T: 'a0e0 c0c6',
  U: 'a0a5b6d6e5e0',
  V: 'a0c6e0',
  W: 'a0b6c3d6e0',
  X: 'a0e6 e0a6',
  Y: 'a0c3e0 c3c6',
  Z: 'a0e0a6e6',
  a: 'a3b2d2e3e6 e4b4a5b6d6e5',
  b: 'a0a6 a3b2d2e3e5d6b6a5',
  c: 'e3d2b2a3a5b6d6e5',
  d: 'e0e6 e3d2b2a3a5b6d6e5',
  e: 'a4e4e3d2b2a3a5b6d6e5',
  f: 'e1d0c1c6 a2d2',
  g: 'e3d2b2a3a5b6d6e5 e2e7d8b8a7',
  h: 'a0a6 a3b2d2e3e6',
  i: 'c2c6 c0c0',
  j: 'd2d7c8b8 d0d0',
  k: 'a0a6 e2a4e6',
  l: 'b0c0c6 b6d6',
  m: 'a2a6 a3b2c3c6 c3d2e3e6',
  n: 'a2a6 a3b2d2e3e6',
  o: 'b2d2e3e5d6b6a5a3b2',
  p: 'a2a8 a3b2d2e3e5d6b6a5',
  q: 'e2e8 e3d2b2a3a5b6d6e5',
  r: 'b2b6 b3c2e2',
  s: 'e2b2a3b4d4e5d6a6',
  t: 'c0c5d6e6 a2e2',
  u: 'a2a5b6d6e5 e2e6',
  v: 'a2c6e2',
  w: 'a2b6c3d6e2',
  x: 'a2e6 e2a6',
  y: 'a2c6 e2b8a8',
  z: 'a2e2a6e6',
  '.': 'c6c6',
  ',': 'c6b8',
  ':': 'c3c3 c6c6',
  '-': 'b4d4',
  '+': 'b4d4 c3c5',
  _: 'a7e7',
  '=': 'a3e3 a5e5',
  '/': 'a7e0',
  '(': 'd0c2c5d7',
  ')': 'b0c2c5b7',
  '%': 'a6e0 a0b0b1a1a0 d5e5e6d6d5',
  "'": 'c0c1',
  '!': 'c0c4 c6c6',
  '?': 'a1b0d0e1e2c3c4 c6c6',
  '<': 'e2a4e6',
  '>': 'a2e4a6',
  '#': 'b1b6 d1d6 a2e2 a5e5',
};

/** Strokes of what has no glyph: a box. */
const unknown = 'a0e0e6a6a0';

/** Height of a capital and advance to the next glyph, in grid units. */
const capRows = 6;
const advance = 6;

/** Width of a text whose capitals are `size` high. */
export const textWidth = (text: string, size: number): number =>
  Math.max(0, [...text].length * advance - 2) * (size / capRows);

/** The text as the data of an SVG path: its strokes from (x, y), the top left corner of the first capital. */
export function textPath(text: string, x: number, y: number, size: number): string {
  const unit = size / capRows;
  const place = (value: number): string => String(Math.round(value * 100) / 100);
  return [...text]
    .flatMap((glyph, i) => {
      if (glyph === ' ') return [];
      return (strokes[glyph] ?? unknown).split(' ').map((stroke) => {
        const points = stroke.match(/../g)!.map((pair) => {
          const column = pair.charCodeAt(0) - 97 + i * advance;
          return `${place(x + column * unit)} ${place(y + Number(pair[1]) * unit)}`;
        });
        return `M${points.join('L')}`;
      });
    })
    .join('');
}
