import { ensure } from '../core/errors.ts';
import { ink, textElement, toSvg } from './svg.ts';

/** A function on a square grid: `values[row * points + column]`. */
export interface Surface {
  readonly title: string;
  readonly points: number;
  readonly values: ArrayLike<number>;
}

export interface SurfaceOptions {
  /** What the height is. */
  readonly label: string;
  /** Half the side of the grid, for the ticks of the maps. */
  readonly span: number;
  /** Values above this are drawn at it. */
  readonly ceiling: number;
  /** Heights of the contour lines in the maps. */
  readonly levels: readonly number[];
  /** Heights go by their logarithm; default false. */
  readonly log?: boolean;
}

const panel = { width: 460, top: 40, scene: 402, map: 300 } as const;

type Point = readonly [number, number];
type Height = (value: number) => number;
const round = (value: number): string => String(Math.round(value * 10) / 10);

/** Dark blue over green to yellow: lightness rises all the way, so that it reads in grey too. */
const ramp = [
  [48, 18, 92],
  [52, 75, 145],
  [33, 125, 140],
  [62, 172, 112],
  [160, 209, 58],
  [252, 231, 55],
] as const;

/** The colour at a height 0..1, darkened by `light` 0..1. */
function colorAt(height: number, light = 1): string {
  const at = Math.min(0.9999, Math.max(0, height)) * (ramp.length - 1);
  const [low, high] = [ramp[Math.floor(at)]!, ramp[Math.floor(at) + 1]!];
  const channels = low.map((value, i) => Math.round(light * (value + (high[i]! - value) * (at % 1))));
  return `rgb(${channels.join(',')})`;
}

/** Height 0..1 of a value; what is not finite is at the ceiling. */
function heightOf(surfaces: readonly Surface[], { ceiling, log = false }: SurfaceOptions): Height {
  const scale = (value: number): number => (log ? Math.log(value) : value);
  const all = surfaces.flatMap(({ values }) => Array.from(values)).filter(Number.isFinite);
  const low = scale(Math.min(...all));
  return (value) => (Number.isFinite(value) ? Math.min(1, (scale(value) - low) / (scale(ceiling) - low)) : 1);
}

/** Seen from a corner, 35 degrees above the ground: grid place and height, 0..1 each -> pixels. */
function project(x: number, y: number, z: number): Point {
  const turn = (35 * Math.PI) / 180;
  const [u, v] = [x - 0.5, y - 0.5];
  const across = u * Math.cos(turn) - v * Math.sin(turn);
  const depth = u * Math.sin(turn) + v * Math.cos(turn);
  return [panel.width / 2 + across * 310, panel.top + 265 + depth * 180 - z * 135];
}

/** Light from the upper left on a facet whose heights rise by (dx, dy) over one unit of ground. */
function lightOn(dx: number, dy: number): number {
  const [sunX, sunY, sunZ] = [-0.55, -0.25, 0.8];
  const shine = (-dx * sunX - dy * sunY + sunZ) / Math.hypot(dx, dy, 1);
  return 0.55 + 0.45 * Math.max(0, Math.min(1, shine));
}

const polygon = (corners: readonly Point[], style: string): string =>
  `<path d="M${corners.map((corner) => corner.map(round).join(' ')).join('L')}Z" ${style}/>`;

/** The surface as facets, those behind first. */
function facets({ points, values }: Surface, height: Height): string[] {
  const last = points - 1;
  const z = (column: number, row: number): number => height(values[row * points + column]!);
  const at = (column: number, row: number): Point => project(column / last, row / last, z(column, row));
  const elements: string[] = [];
  for (let row = 0; row < last; row++) {
    for (let column = 0; column < last; column++) {
      const corners = [z(column, row), z(column + 1, row), z(column + 1, row + 1), z(column, row + 1)] as const;
      const dx = ((corners[1] + corners[2] - corners[0] - corners[3]) / 2) * last * 0.45;
      const dy = ((corners[2] + corners[3] - corners[0] - corners[1]) / 2) * last * 0.45;
      const color = colorAt(corners.reduce((sum, one) => sum + one, 0) / 4, lightOn(dx, dy));
      const outline = `fill="${color}" stroke="#000000" stroke-opacity="0.22" stroke-width="0.5" stroke-linejoin="round"`;
      elements.push(
        polygon([at(column, row), at(column + 1, row), at(column + 1, row + 1), at(column, row + 1)], outline),
      );
    }
  }
  return elements;
}

/** The ground and the two edges behind. */
function cage(): string[] {
  const ground = [project(0, 0, 0), project(1, 0, 0), project(1, 1, 0), project(0, 1, 0)];
  const walls = [
    [project(0, 0, 0), project(1, 0, 0), project(1, 0, 1), project(0, 0, 1)],
    [project(0, 0, 0), project(0, 1, 0), project(0, 1, 1), project(0, 0, 1)],
  ];
  return [polygon(ground, 'fill="#f4f4f4" stroke="#bbbbbb" stroke-width="0.8"')].concat(
    walls.map((wall) => polygon(wall, 'fill="#fafafa" stroke="#cccccc" stroke-width="0.8"')),
  );
}

/**
 * contourSegments: where the surface, straight between neighbours on the grid, has the height `level`: pairs of points in grid
 * units. Marching squares; a saddle is cut by the mean of its corners.
 */
export function contourSegments({ points, values }: Surface, level: number): (readonly [Point, Point])[] {
  const value = (column: number, row: number): number => {
    const one = values[row * points + column]!;
    return Number.isFinite(one) ? one : Number.MAX_VALUE;
  };
  const found: (readonly [Point, Point])[] = [];
  for (let row = 0; row + 1 < points; row++) {
    for (let column = 0; column + 1 < points; column++) {
      const corners: readonly Point[] = [
        [column, row],
        [column + 1, row],
        [column + 1, row + 1],
        [column, row + 1],
      ];
      found.push(
        ...cellSegments(
          corners,
          corners.map(([x, y]) => value(x, y)),
          level,
        ),
      );
    }
  }
  return found;
}

/** The pieces of a contour in one cell, whose corners go round. */
function cellSegments(
  corners: readonly Point[],
  heights: readonly number[],
  level: number,
): (readonly [Point, Point])[] {
  const cuts = corners.flatMap((from, i) => {
    const [to, a, b] = [corners[(i + 1) % 4]!, heights[i]!, heights[(i + 1) % 4]!];
    if (a > level === b > level) return [];
    const share = (level - a) / (b - a);
    return [[from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])] as const];
  });
  if (cuts.length === 2) return [[cuts[0]!, cuts[1]!]];
  if (cuts.length !== 4) return [];
  const middleAbove = heights.reduce((sum, one) => sum + one / 4, 0) > level;
  const joined = heights[0]! > level === middleAbove;
  // Each cut lies on the edge from corner i to i + 1: the pairs go round the corners that stand alone.
  return joined
    ? [
        [cuts[0]!, cuts[1]!],
        [cuts[2]!, cuts[3]!],
      ]
    : [
        [cuts[3]!, cuts[0]!],
        [cuts[1]!, cuts[2]!],
      ];
}

/** The surface from above: contour lines in the colours of their heights. */
function contourMap(surface: Surface, height: Height, { levels, span }: SurfaceOptions): string[] {
  const side = panel.map - 60;
  const [left, top] = [(panel.width - side) / 2, panel.top + panel.scene + 6];
  const place = ([x, y]: Point): string =>
    `${round(left + (x / (surface.points - 1)) * side)} ${round(top + (y / (surface.points - 1)) * side)}`;
  const lines = levels.map((level) => {
    const path = contourSegments(surface, level)
      .map(([from, to]) => `M${place(from)}L${place(to)}`)
      .join('');
    return `<path d="${path}" fill="none" stroke="${colorAt(height(level), 0.88)}" stroke-width="1.4" stroke-linecap="round"/>`;
  });
  const bottom = top + side + 7;
  return [
    `<rect x="${left}" y="${top}" width="${side}" height="${side}" fill="none" stroke="${ink}" stroke-width="0.8"/>`,
    ...lines,
    `<circle cx="${left + side / 2}" cy="${top + side / 2}" r="2.4" fill="${ink}"/>`,
    ...[-span, 0, span].flatMap((tick, i) => [
      textElement(String(tick), left + (i / 2) * side, bottom, { anchor: 'middle', size: 8 }),
      textElement(String(tick), left - 7, top + (i / 2) * side - 4, { anchor: 'end', size: 8 }),
    ]),
  ];
}

/** What colours and lines mean: the levels of the contour lines. */
function key(levels: readonly number[], label: string, height: Height, width: number): string[] {
  const y = panel.top + panel.scene + panel.map + 2;
  const step = 62;
  const start = (width - levels.length * step) / 2;
  const entries = levels.flatMap((level, i) => [
    `<path d="M${start + i * step} ${y + 4}h16" stroke="${colorAt(height(level), 0.88)}" stroke-width="3"/>`,
    textElement(String(level), start + i * step + 21, y, { size: 8 }),
  ]);
  return [...entries, textElement(label, start - 12, y, { size: 8, anchor: 'end' })];
}

/** surfaceChart: surfaces side by side, each as a landscape and below it as a map of contour lines, on common scales. SVG. */
export function surfaceChart(surfaces: readonly Surface[], options: SurfaceOptions): string {
  for (const { points, values, title } of surfaces)
    ensure(values.length === points * points && points > 1, 'bad-shape', () => {
      return `surfaceChart: expected ${points} x ${points} values for "${title}", got ${values.length}`;
    });
  const height = heightOf(surfaces, options);
  const elements = surfaces.map((surface, i) => {
    const parts = [
      textElement(surface.title, panel.width / 2, 14, { anchor: 'middle', size: 11 }),
      ...cage(),
      ...facets(surface, height),
      ...contourMap(surface, height, options),
    ];
    return `<g transform="translate(${i * panel.width} 0)">\n${parts.join('\n')}\n</g>`;
  });
  const width = surfaces.length * panel.width;
  return toSvg({
    width,
    height: panel.top + panel.scene + panel.map + 24,
    elements: [...elements, ...key(options.levels, options.label, height, width)],
  });
}
