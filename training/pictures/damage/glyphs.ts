/** A point of a glyph's stroke in its box: x 0..1 left to right, y 0..1 top to bottom. */
export type Point = readonly [x: number, y: number];

/** arc: points along an ellipse; degrees run clockwise from the right (y points down). */
export function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number): Point[] {
  const steps = Math.ceil(Math.abs(to - from) / 15);
  return Array.from({ length: steps + 1 }, (_, i): Point => {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 180;
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)];
  });
}

const six: Point[][] = [arc(0.5, 0.68, 0.5, 0.32, 0, 360), arc(0.62, 0.66, 0.62, 0.66, 180, 285)];
const turned = (strokes: Point[][]): Point[][] =>
  strokes.map((stroke) => stroke.map(([x, y]): Point => [1 - x, 1 - y]));

/** The digits 0 to 9 as the centre lines of their strokes, in the proportions of an ordinary sans-serif. Drawn by us. */
export const digitStrokes: readonly (readonly (readonly Point[])[])[] = [
  [arc(0.5, 0.5, 0.5, 0.5, 0, 360)],
  [
    [
      [0.12, 0.2],
      [0.58, 0],
      [0.58, 1],
    ],
  ],
  [[...arc(0.5, 0.29, 0.47, 0.29, 190, 398), [0.02, 1], [1, 1]]],
  [[...arc(0.47, 0.245, 0.45, 0.245, 205, 450), ...arc(0.47, 0.745, 0.53, 0.255, -90, 158)]],
  [
    [
      [1, 0.7],
      [0, 0.7],
      [0.72, 0],
      [0.72, 1],
    ],
  ],
  [[[0.92, 0], [0.16, 0], [0.09, 0.46], ...arc(0.47, 0.67, 0.53, 0.33, 222, 508)]],
  six,
  [
    [
      [0, 0],
      [1, 0],
      [0.36, 1],
    ],
  ],
  [arc(0.5, 0.245, 0.43, 0.245, 0, 360), arc(0.5, 0.745, 0.5, 0.255, 0, 360)],
  turned(six),
];
