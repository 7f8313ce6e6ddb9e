import { ensure } from '../core/errors.ts';
import { textWidth } from '../pictures/text-font.ts';
import { ink, palette, textElement, toSvg } from './svg.ts';

export interface Series {
  readonly name: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

export interface ChartOptions {
  readonly title?: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly logX?: boolean;
  /** Whether only whole numbers are marked along x. */
  readonly wholeX?: boolean;
  /** Vertical marks, with a name each. */
  readonly marks?: readonly { readonly name: string; readonly x: number }[];
  readonly width?: number;
  readonly height?: number;
}

const margin = { left: 70, right: 16, top: 34, bottom: 46 } as const;

/** Multiples of 1, 2 or 5 times a power of ten within low..high, about `count` of them, at least `least` apart. */
export function niceTicks(low: number, high: number, count = 6, least = 0): number[] {
  const rough = Math.max((high - low) / count, least);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** `0.02`, `15000`, `1e-7`: at most four significant digits. */
export function tickText(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const short = Number(value.toPrecision(4));
  return size < 1e-3 || size >= 1e5 ? short.toExponential().replace('e+', 'e') : String(short);
}

/** A mapping of numbers to pixels, and its ticks. */
interface Axis {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

function linearAxis(values: readonly number[], from: number, to: number, least = 0): Axis {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  return {
    place: (value) => from + ((value - low) / (high - low)) * (to - from),
    ticks: niceTicks(low, high, 6, least),
  };
}

function logAxis(values: readonly number[], from: number, to: number): Axis {
  const { place } = linearAxis(values.map(Math.log10), from, to);
  const [low, high] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const first = Math.ceil(low - 1e-9);
  const ticks = Array.from({ length: Math.floor(high + 1e-9) - first + 1 }, (_, i) => 10 ** (first + i));
  return { place: (value) => place(Math.log10(value)), ticks };
}

const round = (value: number): string => String(Math.round(value * 100) / 100);
const line = (x1: number, y1: number, x2: number, y2: number, style: string): string =>
  `<path d="M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}" ${style}/>`;
const gridStyle = 'stroke="#dddddd" stroke-width="1"';

/** A line chart as an SVG file. Points that are not finite break the line. */
export function lineChart(series: readonly Series[], options: ChartOptions): string {
  const { width = 640, height = 400, logX = false, marks = [], title } = options;
  const usable = series.map(({ name, x, y }) => ({
    name,
    points: x.map((value, i) => [value, y[i]!] as const).filter((point) => point.every(Number.isFinite)),
  }));
  const all = usable.flatMap(({ points }) => points);
  ensure(all.length > 0, 'bad-data', () => 'lineChart: expected at least one finite point, got none; train first');
  const box = { left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
  const xs = [...all.map(([x]) => x), ...marks.map(({ x }) => x)];
  const xAxis = logX
    ? logAxis(xs, box.left + 8, box.right - 8)
    : linearAxis(xs, box.left + 8, box.right - 8, options.wholeX ? 1 : 0);
  const yAxis = linearAxis(
    all.map(([, y]) => y),
    box.bottom - 8,
    box.top + 8,
  );
  const frame = `<rect x="${box.left}" y="${box.top}" width="${box.right - box.left}" height="${box.bottom - box.top}" fill="none" stroke="${ink}"/>`;
  const elements = [
    ...xAxis.ticks.flatMap((tick) => {
      const x = xAxis.place(tick);
      return [
        line(x, box.top, x, box.bottom, gridStyle),
        textElement(tickText(tick), x, box.bottom + 7, { anchor: 'middle' }),
      ];
    }),
    ...yAxis.ticks.flatMap((tick) => {
      const y = yAxis.place(tick);
      return [
        line(box.left, y, box.right, y, gridStyle),
        textElement(tickText(tick), box.left - 7, y - 4, { anchor: 'end' }),
      ];
    }),
    frame,
    ...usable.map(({ points }, i) => {
      const path = points.map(([x, y]) => `${round(xAxis.place(x))} ${round(yAxis.place(y))}`).join('L');
      return `<path d="M${path}" fill="none" stroke="${palette[i % palette.length]}" stroke-width="1.8" stroke-linejoin="round"/>`;
    }),
    ...marks.flatMap(({ name, x }, i) => {
      const at = xAxis.place(x);
      const color = palette[(i + 1) % palette.length]!;
      const style = `stroke="${color}" stroke-width="1.2" stroke-dasharray="4 3"`;
      // Left of the mark where there is no room at its right.
      const fits = at + 4 + textWidth(name, 8) < box.right;
      const place = fits ? ({ x: at + 4, anchor: 'start' } as const) : ({ x: at - 4, anchor: 'end' } as const);
      const label = textElement(name, place.x, box.top + 6 + 15 * i, { color, size: 8, anchor: place.anchor });
      return [line(at, box.top, at, box.bottom, style), label];
    }),
    textElement(options.xLabel, (box.left + box.right) / 2, height - 19, { anchor: 'middle' }),
    textElement(options.yLabel, 8, (box.top + box.bottom) / 2, { anchor: 'middle', upright: true }),
    ...(title === undefined ? [] : [textElement(title, box.left, 9, { size: 10 })]),
    ...legend(usable, box.right),
  ];
  return toSvg({ width, height, elements });
}

/** Names of the lines above the chart, from the right. */
function legend(series: readonly { readonly name: string }[], right: number): string[] {
  if (series.length < 2) return [];
  let x = right;
  return series
    .map(({ name }, i) => ({ name, color: palette[i % palette.length]! }))
    .reverse()
    .flatMap(({ name, color }) => {
      x -= textWidth(name, 9);
      const text = textElement(name, x, 12, { color });
      const dash = line(x - 20, 17, x - 6, 17, `stroke="${color}" stroke-width="2.5"`);
      x -= 34;
      return [text, dash];
    });
}
