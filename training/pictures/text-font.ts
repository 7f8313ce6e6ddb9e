import type { Image } from '../core/image.ts';
import { drawStrokes } from './damage/draw-digits.ts';
import { arc, digitStrokes, type Point } from './damage/glyphs.ts';

/*
 * A font of strokes, drawn by us, so that pictures can carry text on machines without fonts. Units are heights of a capital:
 * y 0 is its top, 1 the base line, 0.34 the top of an x. A stroke is a list of points `x,y` and arcs
 * `@cx,cy,rx,ry,from,to` (degrees clockwise from the right); `|` lifts the pen. The number in front is the width.
 */
const bowl = '@.25,.67,.25,.33,0,360';
const drawings: Readonly<Record<string, string>> = {
  A: '.7 0,1 .35,0 .7,1|.13,.64 .57,.64',
  B: '.6 0,0 0,1 .3,1 @.3,.74,.3,.26,90,-90 0,.48|.28,.48 @.28,.24,.26,.24,90,-90 0,0',
  C: '.65 @.35,.5,.35,.5,-50,-310',
  D: '.65 0,0 0,1 .25,1 @.25,.5,.4,.5,90,-90 0,0',
  E: '.5 .5,0 0,0 0,1 .5,1|0,.48 .45,.48',
  F: '.5 .5,0 0,0 0,1|0,.48 .43,.48',
  G: '.7 @.35,.5,.35,.5,-50,-360 .42,.5',
  H: '.62 0,0 0,1|.62,0 .62,1|0,.48 .62,.48',
  I: '.1 .05,0 .05,1',
  J: '.45 .45,0 .45,.72 @.225,.72,.225,.28,0,160',
  K: '.6 0,0 0,1|.58,0 0,.6|.2,.44 .6,1',
  L: '.5 0,0 0,1 .5,1',
  M: '.8 0,1 0,0 .4,.7 .8,0 .8,1',
  N: '.62 0,1 0,0 .62,1 .62,0',
  O: '.72 @.36,.5,.36,.5,0,360',
  P: '.58 0,1 0,0 .3,0 @.3,.27,.28,.27,-90,90 0,.54',
  Q: '.74 @.36,.5,.36,.5,0,360|.45,.75 .74,1.04',
  R: '.6 0,1 0,0 .3,0 @.3,.27,.28,.27,-90,90 0,.54|.3,.54 .6,1',
  S: '.58 @.29,.25,.28,.25,-25,-270 @.29,.75,.29,.25,-90,155',
  T: '.6 0,0 .6,0|.3,0 .3,1',
  U: '.62 0,0 0,.69 @.31,.69,.31,.31,180,0 .62,0',
  V: '.66 0,0 .33,1 .66,0',
  W: '.92 0,0 .22,1 .46,.1 .7,1 .92,0',
  X: '.62 0,0 .62,1|.62,0 0,1',
  Y: '.62 0,0 .31,.48 .62,0|.31,.48 .31,1',
  Z: '.6 0,0 .6,0 0,1 .6,1',
  a: `.5 ${bowl}|.5,.34 .5,1`,
  b: `.5 0,0 0,1|${bowl}`,
  c: '.46 @.26,.67,.26,.33,-50,-310',
  d: `.5 .5,0 .5,1|${bowl}`,
  e: '.5 0,.66 .5,.66 @.25,.67,.25,.33,0,-310',
  f: '.34 .34,.04 @.26,.2,.16,.2,-70,-180 .1,1|0,.36 .3,.36',
  g: `.5 ${bowl}|.5,.34 .5,1.08 @.25,1.08,.25,.22,0,150`,
  h: '.48 0,0 0,1|@.24,.58,.24,.24,180,360 .48,1',
  i: '.1 .05,.34 .05,1|.05,.08 .05,.12',
  j: '.2 .16,.34 .16,1.12 @0,1.12,.16,.18,0,90|.16,.08 .16,.12',
  k: '.46 0,0 0,1|.42,.34 0,.74|.16,.6 .46,1',
  l: '.16 .04,0 .04,.88 @.16,.88,.12,.12,180,90',
  m: '.76 0,.34 0,1|@.19,.55,.19,.21,180,360 .38,1|@.57,.55,.19,.21,180,360 .76,1',
  n: '.48 0,.34 0,1|@.24,.58,.24,.24,180,360 .48,1',
  o: '.52 @.26,.67,.26,.33,0,360',
  p: `.5 0,.34 0,1.3|${bowl}`,
  q: `.5 .5,.34 .5,1.3|${bowl}`,
  r: '.32 0,.34 0,1|@.22,.58,.22,.24,180,290',
  s: '.42 @.21,.5,.2,.16,-30,-270 @.21,.83,.21,.17,-90,150',
  t: '.34 .12,.1 .12,.82 @.28,.82,.16,.18,180,80|0,.36 .32,.36',
  u: '.48 0,.34 0,.76 @.24,.76,.24,.24,180,0|.48,.34 .48,1',
  v: '.46 0,.34 .23,1 .46,.34',
  w: '.68 0,.34 .17,1 .34,.42 .51,1 .68,.34',
  x: '.46 0,.34 .46,1|.46,.34 0,1',
  y: '.48 0,.34 .25,1|.48,.34 .18,1.16 .04,1.28',
  z: '.44 0,.34 .44,.34 0,1 .44,1',
  '.': '.1 .05,.96 .05,1',
  ',': '.12 .07,.95 .02,1.15',
  ':': '.1 .05,.42 .05,.46|.05,.96 .05,1',
  '-': '.36 0,.6 .36,.6',
  '+': '.5 0,.55 .5,.55|.25,.3 .25,.8',
  '=': '.5 0,.42 .5,.42|0,.68 .5,.68',
  _: '.5 0,1.08 .5,1.08',
  '/': '.42 .42,0 0,1.08',
  '(': '.2 @.4,.5,.4,.62,-135,-225',
  ')': '.2 @-.2,.5,.4,.62,-45,45',
  '%': '.8 .66,0 .14,1|@.16,.24,.16,.22,0,360|@.64,.76,.16,.22,0,360',
  '?': '.46 @.23,.23,.23,.23,170,430 .23,.7|.23,.96 .23,1',
  '!': '.1 .05,0 .05,.7|.05,.96 .05,1',
  "'": '.1 .05,0 .05,.22',
  '>': '.46 0,.3 .46,.58 0,.86',
  '<': '.46 .46,.3 0,.58 .46,.86',
  ' ': '.3 ',
};

interface Glyph {
  readonly width: number;
  readonly strokes: readonly (readonly Point[])[];
}

function pointsOf(token: string): Point[] {
  const [a = 0, b = 0, rx = 0, ry = 0, from = 0, to = 0] = token.replace('@', '').split(',').map(Number);
  return token.startsWith('@') ? arc(a, b, rx, ry, from, to) : [[a, b]];
}

function parseGlyph(drawing: string): Glyph {
  const [width = '0', ...rest] = drawing.split(' ');
  const strokes = rest.join(' ').split('|');
  return {
    width: Number(width),
    strokes: strokes.map((stroke) => stroke.split(' ').filter(Boolean).flatMap(pointsOf)),
  };
}

const DIGIT_WIDTH = 0.52;
const digits = digitStrokes.map((strokes, digit): [string, Glyph] => [
  String(digit),
  { width: DIGIT_WIDTH, strokes: strokes.map((points) => points.map(([x, y]): Point => [x * DIGIT_WIDTH, y])) },
]);
const glyphs = new Map([
  ...Object.entries(drawings).map(([c, text]): [string, Glyph] => [c, parseGlyph(text)]),
  ...digits,
]);

/** What stands for a character that the font does not have: a box. */
const unknownGlyph: Glyph = parseGlyph('.5 0,0 .5,0 .5,1 0,1 0,0');

/** Space between two glyphs, and the thickness of strokes, in heights of a capital. */
const GAP = 0.2;
const THICKNESS = 0.11;
/** From the top of a capital to the end of a descender. */
const DEPTH = 1.35;

export interface TextLook {
  /** Top-left corner, in pixels. */
  readonly left: number;
  readonly top: number;
  /** Of a capital, in pixels. */
  readonly height: number;
  /** Red, green, blue, 0..255; default black. */
  readonly color?: readonly [number, number, number];
}

/** hasGlyph: whether the font can draw the character. */
export const hasGlyph = (character: string): boolean => glyphs.has(character);

/** textWidth: of one line in pixels, for capitals `height` px high. */
export const textWidth = (text: string, height: number): number =>
  [...text].reduce((sum, c) => sum + (glyphs.get(c) ?? unknownGlyph).width + GAP, 0) * height;

/** fitText: the text, or as much of it as is at most `width` px wide, with two dots in place of the rest. */
export function fitText(text: string, width: number, height: number): string {
  if (textWidth(text, height) <= width) return text;
  const characters = [...text];
  while (characters.length > 0 && textWidth(`${characters.join('')}..`, height) > width) characters.pop();
  return `${characters.join('')}..`;
}

/** textStrokes: the strokes of one line with its top left corner at (left, top), for capitals `height` high. */
export function textStrokes(text: string, left: number, top: number, height: number): Point[][] {
  let x = left + (GAP / 2) * height;
  return [...text].flatMap((character) => {
    const { width, strokes } = glyphs.get(character) ?? unknownGlyph;
    const from = x;
    x += (width + GAP) * height;
    return strokes.map((points) => points.map(([px, py]): Point => [from + px * height, top + py * height]));
  });
}

/** drawText: writes one line into the picture (changed in place), anti-aliased; what lies outside is cut off. */
export function drawText(image: Image, text: string, { left, top, height, color = [0, 0, 0] }: TextLook): void {
  const stroke = Math.max(1, THICKNESS * height);
  let x = left;
  for (const character of text) {
    const { width, strokes } = glyphs.get(character) ?? unknownGlyph;
    const from = x + (GAP / 2) * height;
    const placed = strokes.map((points) =>
      points.map(([px, py]): Point => [from + px * height, top + stroke / 2 + py * (height - stroke)]),
    );
    const box = {
      left: from - stroke,
      top: top - stroke,
      width: width * height + 2 * stroke,
      height: DEPTH * height + 2 * stroke,
    };
    drawStrokes(
      image,
      placed.filter((points) => points.length > 0),
      box,
      { stroke, color },
    );
    x += (width + GAP) * height;
  }
}
