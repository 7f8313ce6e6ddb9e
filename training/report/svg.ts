import { textStrokes, textWidth } from '../pictures/text-font.ts';

/** An SVG picture in the making: elements in the order in which they are painted. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly elements: readonly string[];
}

/** Colours of lines, in turn; they keep apart for most colour-blind eyes (Okabe & Ito). */
export const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'] as const;
export const ink = '#222222';

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
/** Text for an attribute. */
const escaped = (text: string): string => text.replace(/[&<>"]/g, (one) => escapes[one]!);

export interface TextOptions {
  /** Height of capitals; 9 by default. */
  readonly size?: number;
  /** What (x, y) is: the left, the middle or the right end of the text's top. */
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly color?: string;
  /** Turned by 90 degrees against the clock, about (x, y). */
  readonly upright?: boolean;
}

const rounded = (value: number): string => String(Math.round(value * 100) / 100);

/** The text as the data of an SVG path, from its top left corner. */
const textPath = (text: string, x: number, y: number, size: number): string =>
  textStrokes(text, x, y, size)
    .filter((points) => points.length > 0)
    .map((points) => `M${points.map(([px, py]) => `${rounded(px)} ${rounded(py)}`).join('L')}`)
    .join('');

/** Text as strokes, so that no font is needed; screen readers get it as a label. */
export function textElement(text: string, x: number, y: number, options: TextOptions = {}): string {
  const { size = 9, anchor = 'start', color = ink, upright = false } = options;
  const shift = { start: 0, middle: 0.5, end: 1 }[anchor] * textWidth(text, size);
  const turn = upright ? ` transform="rotate(-90 ${x} ${y})"` : '';
  const style = `fill="none" stroke="${color}" stroke-width="${size / 8}" stroke-linecap="round" stroke-linejoin="round"`;
  return `<path role="img" aria-label="${escaped(text)}"${turn} ${style} d="${textPath(text, x - shift, y, size)}"/>`;
}

export const rectElement = (x: number, y: number, width: number, height: number, fill: string): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}"/>`;

/** The picture as an SVG file on white. */
export const toSvg = ({ width, height, elements }: Picture): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
${[rectElement(0, 0, width, height, '#ffffff'), ...elements].join('\n')}
</svg>
`;
