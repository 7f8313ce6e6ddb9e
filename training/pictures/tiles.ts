import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { bleedUnderAlpha, type Rect, type Scale, sampleWindow, writeAlpha, writeWindow } from './transforms/pixels.ts';

/** A window that goes through the model, and the part of it whose result is exact and kept. */
export interface Tile {
  readonly window: Rect;
  readonly crop: Rect;
}

/** What tiles have to know of a model. */
export interface ModelReach {
  /** Radius in pixels of the neighbourhood that an output pixel sees. */
  readonly halo: number;
  /** Height and width must be multiples of this. */
  readonly multipleOf: number;
}

export interface TileSizes extends ModelReach {
  /** Largest side of a window in pixels. */
  readonly tile: number;
}

/**
 * planTiles: size of the (enlarged) picture -> tiles, left to right and top to bottom, all of one size.
 * The crops cover the picture once. The windows cover the picture padded to `multipleOf`; each starts at a multiple of
 * it and reaches `halo` past its crop, or to the padded picture's own border: so a model that sees no farther than
 * `halo` computes the same values as on the whole padded picture.
 */
export function planTiles(width: number, height: number, sizes: TileSizes): Tile[] {
  const columns = planSpans(width, sizes);
  const rows = planSpans(height, sizes);
  return rows.flatMap((row) => columns.map((column) => tileOf(column, row)));
}

/** One direction of a tile: window and crop as [start, end). */
interface Span {
  readonly window: readonly [number, number];
  readonly crop: readonly [number, number];
}

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

function planSpans(length: number, { tile, halo, multipleOf }: TileSizes): Span[] {
  const margin = roundUp(halo, multipleOf);
  const largest = Math.floor(tile / multipleOf) * multipleOf;
  const padded = roundUp(length, multipleOf);
  if (padded <= largest) return [{ window: [0, padded], crop: [0, length] }];
  ensure(largest > 2 * margin, 'bad-argument', () => {
    return `planTiles: expected a tile above 2 * halo = ${2 * margin} pixels, got ${tile}; use a larger tile`;
  });
  const count = Math.ceil((padded - 2 * margin) / (largest - 2 * margin));
  const step = roundUp((padded - 2 * margin) / count, multipleOf);
  const size = step + 2 * margin;
  return Array.from({ length: count }, (_, i) => {
    const start = Math.min(i * step, padded - size);
    const from = i === 0 ? 0 : i * step + margin;
    const to = i === count - 1 ? length : Math.min(length, (i + 1) * step + margin);
    return { window: [start, start + size], crop: [from, to] } as const;
  }).filter(({ crop: [from, to] }) => to > from);
}

function tileOf(column: Span, row: Span): Tile {
  const rect = (x: readonly [number, number], y: readonly [number, number]): Rect => {
    return { x: x[0], y: y[0], width: x[1] - x[0], height: y[1] - y[0] };
  };
  return { window: rect(column.window, row.window), crop: rect(column.crop, row.crop) };
}

/** Runs the model: planes f32[1,3,h,w] 0..1 -> f32[1,3,h,w]. It may keep neither array. */
export type RunPlanes = (planes: Float32Array, dims: readonly [1, 3, number, number]) => Promise<Float32Array>;

export interface RestoreOptions {
  /** Largest side of a tile in pixels; {@link defaultTile} by default. */
  readonly tile?: number;
  /** Looked at before every tile. */
  readonly signal?: AbortSignal;
  /** Called after every tile. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The side of a tile for a model: 8 halos, so that what is computed twice is less than the picture itself, within
 * 512..1024 pixels for memory, and 4 halos at least.
 */
const defaultTile = ({ halo, multipleOf }: ModelReach): number =>
  roundUp(Math.max(4 * halo, Math.min(1024, Math.max(512, 8 * halo))), multipleOf);

/**
 * restoreImage: image u8 -> restored u8 of `scale` times its size (RGB, or RGBA where the input has alpha).
 * One tile is in memory at a time beside input and output. Pixels under full transparency are recoloured in place.
 */
export async function restoreImage(
  image: Image,
  scale: Scale,
  spec: ModelReach,
  run: RunPlanes,
  options: RestoreOptions = {},
): Promise<Image> {
  const width = image.width * scale;
  const height = image.height * scale;
  const channels = image.channels === 4 ? 4 : 3;
  const target: Image = { width, height, channels, data: new Uint8Array(width * height * channels) };
  if (channels === 4) bleedUnderAlpha(image);
  const tiles = planTiles(width, height, { ...spec, tile: options.tile ?? defaultTile(spec) });
  let planes: Float32Array | undefined;
  for (const [done, { window, crop }] of tiles.entries()) {
    options.signal?.throwIfAborted();
    planes = sampleWindow(image, scale, window, planes);
    writeWindow(await run(planes, [1, 3, window.height, window.width]), window, crop, target);
    if (channels === 4) writeAlpha(image, scale, crop, target);
    options.onProgress?.(done + 1, tiles.length);
  }
  return target;
}
