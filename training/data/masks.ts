import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import type { SegmentModelSpec } from '../core/model-config.ts';
import { type Tensor, tensor } from '../core/tensor.ts';
import { blendTiles, type MaskTileSizes, type Part, planMaskTiles } from './masks-tiles.ts';
import { type Size, sizeForShortSide } from './sizes.ts';
import { frameFor, frameMatrix } from './transforms/frame.ts';
import { inColour } from './transforms/opaque.ts';
import type { Rect } from './transforms/pixels.ts';
import { sampleSource, sourceFor, unitTable } from './transforms/resample.ts';

/*
 * From a picture to what a segmentation net takes, and from its probabilities back to a class for every pixel: the same code in
 * training, on the server and in the browser.
 */

/** A picture longer than this many of its short sides is not enlarged to more pixels than one of this shape would be. */
const longestEnlarged = 16;

/**
 * segmentSize: the size at which a picture goes through the net: its short side `shortSide`, both sides whole multiples of 8 (the nearest).
 * Thin strips are enlarged less: a line of 65 000 pixels would become 2 billion.
 */
export function segmentSize(picture: Size, shortSide: number): Size {
  const whole = (side: number): number => Math.max(8, Math.round(side / 8) * 8);
  const [short, long] = [Math.min(picture.width, picture.height), Math.max(picture.width, picture.height)];
  if (short >= shortSide || long <= longestEnlarged * short) {
    const { width, height } = sizeForShortSide(picture, shortSide);
    return { width: whole(width), height: whole(height) };
  }
  const scale = Math.max(1, shortSide * Math.sqrt(longestEnlarged / (short * long)));
  return { width: whole(picture.width * scale), height: whole(picture.height * scale) };
}

/** Reads parts of a picture as it is when stretched to `size`, as in training -> f32[1,3,h,w] 0..1. */
function segmentReader(image: Image, size: Size): (part: Rect) => Tensor<'float32'> {
  const colours = inColour(image);
  const sampling = { matrix: frameMatrix(frameFor(image, size, 'squish'), size), size, padding: 'border' } as const;
  const source = sourceFor(colours, sampling);
  return ({ x, y, width, height }) => {
    const data = new Float32Array(3 * width * height);
    const frame = { x: x / size.width, y: y / size.height, width: width / size.width, height: height / size.height };
    const part = { matrix: frameMatrix(frame, { width, height }), size: { width, height }, padding: 'border' } as const;
    sampleSource(source, part, [unitTable, unitTable, unitTable], data);
    return tensor('float32', [1, 3, height, width], data);
  };
}

/** segmentInput: a picture u8 (grey, RGB, or RGBA put on white), stretched to `size` as in training -> f32[1,3,H,W] 0..1. */
export const segmentInput = (image: Image, size: Size): Tensor<'float32'> =>
  segmentReader(image, size)({ x: 0, y: 0, ...size });

/** Runs the net: f32[1,3,h,w] 0..1 -> probabilities f32[1,K,h,w]. */
export type RunProbabilities = (input: Tensor<'float32'>) => Promise<Tensor<'float32'>>;

export interface SegmentOptions {
  /** How large pictures are cut; {@link maskTiles} when not given. */
  readonly tiles?: MaskTileSizes;
  /** Looked at before every run. */
  readonly signal?: AbortSignal;
  /** Called after every run. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * At most half a megapixel in one run, some 300 MB, which photos of common shapes stay below up to a short side of 512. A net that reduces its
 * maps 32 times sees far: with these overlaps 99.98 % of a street panorama's pixels have the class of the untiled run, with 64 pixels 98.5 %.
 */
export const maskTiles: MaskTileSizes = { tilePixels: 2 ** 19, overlap: 256, ramp: 64 };

/**
 * segmentPicture: a picture u8 (grey, RGB, or RGBA put on white) -> the class of every pixel, u8 0..K-1, one channel, of the picture's size.
 * The whole picture is one run of the net where that has at most `tilePixels`, else overlapping tiles, one in memory at a time.
 */
export async function segmentPicture(
  image: Image,
  spec: Pick<SegmentModelSpec, 'shortSide' | 'classes'>,
  run: RunProbabilities,
  { tiles = maskTiles, signal, onProgress }: SegmentOptions = {},
): Promise<Image> {
  const { width, height } = image;
  const net = segmentSize(image, spec.shortSide);
  const read = segmentReader(image, net);
  const plan = planMaskTiles(net, tiles);
  const total = plan.bands.length * plan.lanes.length;
  let done = 0;
  const answer = async (part: Rect): Promise<Tensor<'float32'>> => {
    signal?.throwIfAborted();
    const probabilities = await run(read(part));
    checkAnswer(probabilities, [1, spec.classes.length, part.height, part.width]);
    onProgress?.(++done, total);
    return probabilities;
  };
  if (total === 1) return classIds(await answer({ x: 0, y: 0, ...net }), image);
  const ids: Image = { width, height, channels: 1, data: new Uint8Array(width * height) };
  const enlarged = {
    classes: spec.classes.length,
    xs: neighbours(net.width, width),
    ys: neighbours(net.height, height),
  };
  let painted = 0;
  await blendTiles(plan, spec.classes.length, answer, (part, final) => {
    const next = firstWith(plan.wide ? enlarged.xs.right : enlarged.ys.right, final);
    const span = { x: 0, y: 0, width, height };
    paintIds(
      ids,
      part,
      enlarged,
      plan.wide ? { ...span, x: painted, width: next - painted } : { ...span, y: painted, height: next - painted },
    );
    painted = next;
  });
  return ids;
}

function checkAnswer({ dims }: Tensor<'float32'>, expected: readonly number[]): void {
  ensure(String(dims) === String(expected), 'bad-model', () => {
    return `segmentPicture: expected probabilities f32[${expected}] from the net, got [${dims}]`;
  });
}

/** The first place in an ascending list that holds at least `value`; its length where none does. */
function firstWith(ascending: Int32Array, value: number): number {
  const at = ascending.findIndex((one) => one >= value);
  return at < 0 ? ascending.length : at;
}

/** Where the pixels of one direction of a picture lie in a smaller one: the neighbour before, the one after, and its share. */
interface Neighbours {
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly share: Float32Array;
}

/** Where the pixels of a row of `to` lie in one of `from`. */
function neighbours(from: number, to: number): Neighbours {
  const left = new Int32Array(to);
  const right = new Int32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const place = Math.max(0, Math.min(from - 1, ((i + 0.5) * from) / to - 0.5));
    left[i] = Math.floor(place);
    right[i] = Math.min(from - 1, left[i]! + 1);
    share[i] = place - left[i]!;
  }
  return { left, right, share };
}

/**
 * classIds: probabilities f32[1,K,H,W] (K at most 255), enlarged bilinearly to `size` -> the most probable class of every pixel, u8 0..K-1;
 * of equal ones the first.
 */
export function classIds({ data, dims }: Tensor<'float32'>, size: Size): Image {
  const [, classes = 0, height = 0, width = 0] = dims;
  const ids: Image = { ...size, channels: 1, data: new Uint8Array(size.width * size.height) };
  const enlarged = { classes, xs: neighbours(width, size.width), ys: neighbours(height, size.height) };
  paintIds(ids, { x: 0, y: 0, width, height, data }, enlarged, { x: 0, y: 0, ...size });
  return ids;
}

interface Enlarged {
  readonly classes: number;
  readonly xs: Neighbours;
  readonly ys: Neighbours;
}

/** Stands for: more than one class occurs among the pixels between four neighbours. */
const mixed = 255;

/**
 * paintIds: the classes of the pixels `out` of `ids` from the probabilities of a part that has all their neighbours. What is interpolated
 * between four neighbours lies between them: where one class has more at each of them than any other has at any, it is the answer in between.
 */
function paintIds(ids: Image, part: Part, { classes, xs, ys }: Enlarged, out: Rect): void {
  const winners = new Uint8Array(part.width);
  let above = -1;
  for (let row = out.y; row < out.y + out.height; row++) {
    const [top, bottom, down] = [ys.left[row]! - part.y, ys.right[row]! - part.y, ys.share[row]!];
    if (top !== above) findWinners(part, top, bottom, classes, winners);
    above = top;
    for (let column = out.x; column < out.x + out.width; column++) {
      const left = xs.left[column]! - part.x;
      let id = winners[left]!;
      if (id === mixed)
        id = likeliest(part, classes, top, bottom, down, left, xs.right[column]! - part.x, xs.share[column]!);
      ids.data[row * ids.width + column] = id;
    }
  }
}

/** For each place between two columns and two rows: the class that wins everywhere in between, else `mixed`. */
function findWinners(
  { data, width, height }: Part,
  top: number,
  bottom: number,
  classes: number,
  winners: Uint8Array,
): void {
  const most = new Float32Array(width).fill(Number.NEGATIVE_INFINITY);
  const least = new Float32Array(width);
  const second = new Float32Array(width).fill(Number.NEGATIVE_INFINITY);
  for (let c = 0; c < classes; c++) {
    const [upper, lower] = [(c * height + top) * width, (c * height + bottom) * width];
    for (let x = 0; x < width; x++) {
      const next = x + 1 < width ? x + 1 : x;
      const [p, q, r, s] = [data[upper + x]!, data[upper + next]!, data[lower + x]!, data[lower + next]!];
      const high = Math.max(p, q, r, s);
      if (high <= most[x]!) {
        if (high > second[x]!) second[x] = high;
        continue;
      }
      second[x] = most[x]!;
      most[x] = high;
      least[x] = Math.min(p, q, r, s);
      winners[x] = c;
    }
  }
  for (let x = 0; x < width; x++) if (least[x]! <= second[x]!) winners[x] = mixed;
}

/** The class that has most at a place between the rows `top` and `bottom` and the columns `left` and `right`; of equal ones the first. */
function likeliest(
  { data, width, height }: Part,
  classes: number,
  top: number,
  bottom: number,
  down: number,
  left: number,
  right: number,
  across: number,
): number {
  let [id, best] = [0, Number.NEGATIVE_INFINITY];
  for (let c = 0; c < classes; c++) {
    const [upper, lower] = [(c * height + top) * width, (c * height + bottom) * width];
    const [p, q, r, s] = [data[upper + left]!, data[upper + right]!, data[lower + left]!, data[lower + right]!];
    const above = p + (q - p) * across;
    const value = above + (r + (s - r) * across - above) * down;
    if (value > best) [id, best] = [c, value];
  }
  return id;
}
