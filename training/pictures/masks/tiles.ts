import { ensure } from '../../core/errors.ts';
import type { Tensor } from '../../core/tensor.ts';
import type { Size } from '../sizes.ts';
import type { Rect } from '../transforms/pixels.ts';

/*
 * A picture that is too large for one run goes through a segmentation net in tiles that overlap. A net with wide reach answers a little
 * differently near the border of what it sees, so inside an overlap the probabilities of one tile fade into those of the next: no seam.
 * Only a band of tiles across the short side is in memory at a time.
 */

/** Tiles begin at multiples of this: as far as nets reduce their maps, so that all tiles fall on one grid. */
const tileGrid = 32;

export interface MaskTileSizes {
  /** Pixels of a tile, at most. */
  readonly tilePixels: number;
  /** Pixels that neighbours share. */
  readonly overlap: number;
  /** Pixels in the middle of the overlap over which the one fades into the other. */
  readonly ramp: number;
}

/** One direction of a tile: what it sees, [start, end), and how much of it counts there (the tiles' sum is 1 everywhere). */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly weights: Float32Array;
}

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

/** planMaskSpans: `length` pixels -> spans of at most `tile`, all of one size but the last. */
export function planMaskSpans(length: number, tile: number, { overlap, ramp }: MaskTileSizes): Span[] {
  const largest = Math.floor((tile - overlap) / tileGrid) * tileGrid;
  if (length <= tile) return [{ start: 0, end: length, weights: new Float32Array(length).fill(1) }];
  ensure(largest >= overlap, 'bad-argument', () => {
    return `planMaskSpans: expected tiles of at least twice the overlap of ${overlap} pixels, got ${tile}`;
  });
  const step = roundUp((length - overlap) / Math.ceil((length - overlap) / largest), tileGrid);
  const count = Math.ceil((length - overlap) / step);
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [i * step, i === count - 1 ? length : (i + 1) * step + overlap];
    const weights = Float32Array.from({ length: end - start }, (_, at) => {
      const rising = i === 0 ? 1 : share(at, overlap, ramp);
      return rising * (i === count - 1 ? 1 : 1 - share(at - step, overlap, ramp));
    });
    return { start, end, weights };
  });
}

/** Of the later of two tiles, `at` pixels into their overlap: 0, then a ramp in the middle, then 1. */
const share = (at: number, overlap: number, ramp: number): number =>
  Math.min(1, Math.max(0, (at + 0.5 - (overlap - ramp) / 2) / ramp));

/** Probabilities [K,height,width] of the part of a picture that begins at x, y. */
export interface Part extends Rect {
  readonly data: Float32Array;
}

/** The part with another place and size: what both have is kept, the rest is 0. */
function moved(part: Part | undefined, rect: Rect, classes: number): Part {
  const data = new Float32Array(classes * rect.width * rect.height);
  if (part === undefined) return { ...rect, data };
  const left = Math.max(part.x, rect.x);
  const right = Math.min(part.x + part.width, rect.x + rect.width);
  const top = Math.max(part.y, rect.y);
  const bottom = Math.min(part.y + part.height, rect.y + rect.height);
  for (let c = 0; c < classes; c++) {
    for (let y = top; y < bottom; y++) {
      const from = (c * part.height + y - part.y) * part.width - part.x;
      const to = (c * rect.height + y - rect.y) * rect.width - rect.x;
      data.set(part.data.subarray(from + left, from + right), to + left);
    }
  }
  return { ...rect, data };
}

/** Adds the values of one tile, by its weights. */
function add(part: Part, { data, dims }: Tensor<'float32'>, xs: Span, ys: Span): void {
  const [, classes = 0, height = 0, width = 0] = dims;
  for (let c = 0; c < classes; c++) {
    for (let y = 0; y < height; y++) {
      const from = (c * height + y) * width;
      const to = (c * part.height + ys.start + y - part.y) * part.width + xs.start - part.x;
      for (let x = 0; x < width; x++) part.data[to + x]! += data[from + x]! * xs.weights[x]! * ys.weights[y]!;
    }
  }
}

/** The tiles of a picture: `bands` along its long side, each of `lanes` across. */
export interface MaskTiles {
  readonly wide: boolean;
  readonly bands: readonly Span[];
  readonly lanes: readonly Span[];
}

/** planMaskTiles: the size at which a picture goes through the net -> its tiles; a single one where it has at most `tilePixels`. */
export function planMaskTiles({ width, height }: Size, sizes: MaskTileSizes): MaskTiles {
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const across = Math.min(short, Math.floor(Math.sqrt(sizes.tilePixels)));
  const lanes = planMaskSpans(short, across, sizes);
  const widest = Math.max(...lanes.map(({ start, end }) => end - start));
  return { wide: width >= height, lanes, bands: planMaskSpans(long, Math.floor(sizes.tilePixels / widest), sizes) };
}

/** Blends tiles: gives `paint` the finished probabilities of one band after the other, and up to where they are final along the long side. */
export async function blendTiles(
  { wide, bands, lanes }: MaskTiles,
  classes: number,
  answer: (rect: Rect) => Promise<Tensor<'float32'>>,
  paint: (part: Part, final: number) => void,
): Promise<void> {
  const short = lanes.at(-1)!.end;
  let part: Part | undefined;
  for (const [i, band] of bands.entries()) {
    // The last final pixel of the band before is a neighbour of the first that are not.
    const from = Math.max(0, band.start - 1);
    const rect = wide
      ? { x: from, y: 0, width: band.end - from, height: short }
      : { x: 0, y: from, width: short, height: band.end - from };
    part = moved(part, rect, classes);
    for (const lane of lanes) {
      const [xs, ys] = wide ? [band, lane] : [lane, band];
      const tile = { x: xs.start, y: ys.start, width: xs.end - xs.start, height: ys.end - ys.start };
      add(part, await answer(tile), xs, ys);
    }
    paint(part, bands[i + 1]?.start ?? band.end);
  }
}
