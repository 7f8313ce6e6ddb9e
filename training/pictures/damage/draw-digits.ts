import type { Image } from '../../core/image.ts';
import { digitStrokes, type Point } from './glyphs.ts';

/** Width of a digit and space between two, in heights: those of common sans-serif faces. */
const DIGIT_WIDTH = 0.56;
const DIGIT_GAP = 0.17;

/** How and where a number is drawn. */
export interface DigitLook {
  /** Top-left corner of the number's box, in pixels. */
  readonly left: number;
  readonly top: number;
  /** Height of a digit in pixels, strokes included. */
  readonly height: number;
  /** Thickness of a stroke, in heights. */
  readonly thickness: number;
  /** Red, green, blue, 0..255. */
  readonly color: readonly [number, number, number];
}

/** Squared distance from (x, y) to the stretch a-b of a stroke. */
function squaredDistance(x: number, y: number, a: Point, b: Point): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - a[0]) * dx + (y - a[1]) * dy) / length));
  return (x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2;
}

/** Distance from a point to the nearest of a digit's strokes. */
function distanceToStrokes(x: number, y: number, strokes: readonly (readonly Point[])[]): number {
  let best = Number.POSITIVE_INFINITY;
  for (const stroke of strokes) {
    for (let i = 1; i < stroke.length; i++) best = Math.min(best, squaredDistance(x, y, stroke[i - 1]!, stroke[i]!));
  }
  return Math.sqrt(best);
}

/** Mixes `color` into one pixel: `coverage` 0 leaves it, 1 replaces it. */
function blend(image: Image, x: number, y: number, color: DigitLook['color'], coverage: number): void {
  const at = (y * image.width + x) * image.channels;
  for (let c = 0; c < Math.min(3, image.channels); c++) {
    const old = image.data[at + c]!;
    image.data[at + c] = Math.round(old + (color[c]! - old) * coverage);
  }
}

/** What strokes are drawn with. */
export interface Pen {
  /** Thickness in pixels. */
  readonly stroke: number;
  readonly color: DigitLook['color'];
}

/** drawStrokes: lines through points given in pixels, anti-aliased, within `box`; parts outside the picture are cut off. */
export function drawStrokes(
  image: Image,
  strokes: readonly (readonly Point[])[],
  box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  { stroke, color }: Pen,
): void {
  const right = Math.min(image.width, Math.ceil(box.left + box.width));
  const bottom = Math.min(image.height, Math.ceil(box.top + box.height));
  for (let y = Math.max(0, Math.floor(box.top)); y < bottom; y++) {
    for (let x = Math.max(0, Math.floor(box.left)); x < right; x++) {
      // A pixel is covered by as much as the stroke's edge reaches past its centre: anti-aliasing to half a pixel.
      const coverage = Math.min(1, stroke / 2 + 0.5 - distanceToStrokes(x + 0.5, y + 0.5, strokes));
      if (coverage > 0) blend(image, x, y, color, coverage);
    }
  }
}

/** Draws one digit with its box's left edge at `left`. */
function drawDigit(image: Image, digit: number, left: number, look: DigitLook): void {
  const { top, height, color } = look;
  const stroke = Math.max(1, look.thickness * height);
  const width = DIGIT_WIDTH * height;
  const place = ([x, y]: Point): Point => [
    left + stroke / 2 + x * (width - stroke),
    top + stroke / 2 + y * (height - stroke),
  ];
  const strokes = digitStrokes[digit]!.map((points) => points.map(place));
  drawStrokes(image, strokes, { left, top, width, height }, { stroke, color });
}

/** drawNumber: a copy of the RGB or RGBA picture with the non-negative integer drawn on it, anti-aliased. */
export function drawNumber(image: Image, value: number, look: DigitLook): Image {
  const copy: Image = { ...image, data: image.data.slice() };
  const advance = (DIGIT_WIDTH + DIGIT_GAP) * look.height;
  [...String(value)].forEach((digit, i) => {
    drawDigit(copy, Number(digit), look.left + i * advance, look);
  });
  return copy;
}
