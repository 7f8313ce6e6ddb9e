import { ensure } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { type Tensor, tensor } from '../../training/core/tensor.ts';
import { blendTiles, type MaskTileSizes, type Part, planMaskTiles } from '../../training/pictures/masks/tiles.ts';
import { type Size, sizeForShortSide } from '../../training/pictures/sizes.ts';
import { frameFor, frameMatrix } from '../../training/pictures/transforms/frame.ts';
import { inColour } from '../../training/pictures/transforms/opaque.ts';
import type { Rect } from '../../training/pictures/transforms/pixels.ts';
import { sampleSource, sourceFor, unitTable } from '../../training/pictures/transforms/resample.ts';
import type { Session } from '../../training/run/session.ts';
import type { SegmentModelSpec } from './contract.ts';

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

/** probabilitiesOf: an open net and its contract -> what {@link segmentPicture} calls for each tile. */
export const probabilitiesOf =
  (
    session: Pick<Session, 'run'>,
    { inputName, outputName }: Pick<SegmentModelSpec, 'inputName' | 'outputName'>,
  ): RunProbabilities =>
  async (input) =>
    (await session.run({ [inputName]: input }))[outputName] as Tensor<'float32'>;

export interface SegmentOptions {
  /** How large pictures are cut; {@link maskTiles} by default. */
  readonly tiles?: MaskTileSizes;
  /** Looked at before every run. */
  readonly signal?: AbortSignal;
  /** Called after every run. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * At most half a megapixel in one run, some 300 MB, which photos of common shapes stay below up to a short side of 512. A net that reduces its
 * maps 32 times sees far, so the overlap is wide (docs/results.md): of a frame in four tiles 99.8 % of the pixels have the class of the untiled
 * run, with 64 pixels 96.6 %.
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

/** Stands for: the four neighbours are not all of one class. */
const mixed = 255;

/**
 * paintIds: the classes of the pixels `out` of `ids` from the probabilities of a part that has all their neighbours. A class that has most at
 * all four neighbours has most in between, because all classes are interpolated with the same weights; so only the rest is worked out.
 */
function paintIds({ width, data }: Image, part: Part, { classes, xs, ys }: Enlarged, out: Rect): void {
  const { left, right, share } = xs;
  const winners = winnersOf(part, classes);
  const between = new Uint8Array(part.width);
  const end = out.x + out.width;
  let above = -1;
  for (let row = out.y; row < out.y + out.height; row++) {
    const place = { top: ys.left[row]! - part.y, bottom: ys.right[row]! - part.y, down: ys.share[row]! };
    if (place.top !== above) joinWinners(winners, part.width, place, between);
    above = place.top;
    for (let x = out.x, to = row * width + out.x; x < end; x++, to++) {
      const id = between[left[x]! - part.x]!;
      data[to] = id;
      if (id === mixed) data[to] = likeliest(part, classes, place, left[x]! - part.x, right[x]! - part.x, share[x]!);
    }
  }
}

/** The class that has most at each place of a part; of equal ones the first. */
function winnersOf({ width, height, data }: Part, classes: number): Uint8Array {
  const plane = width * height;
  const winners = new Uint8Array(plane);
  const most = data.slice(0, plane);
  for (let c = 1, at = plane; c < classes; c++) {
    for (let i = 0; i < plane; i++, at++) {
      if (data[at]! <= most[i]!) continue;
      most[i] = data[at]!;
      winners[i] = c;
    }
  }
  return winners;
}

/** For each place between two columns and two rows: the class that wins at all four, else `mixed`. */
function joinWinners(winners: Uint8Array, width: number, { top, bottom }: Between, between: Uint8Array): void {
  for (let x = 0; x < width; x++) {
    const next = x + 1 < width ? x + 1 : x;
    const id = winners[top * width + x]!;
    const same =
      winners[top * width + next] === id && winners[bottom * width + x] === id && winners[bottom * width + next] === id;
    between[x] = same ? id : mixed;
  }
}

/** Rows of a part between which a row of the picture lies, and how far down. */
interface Between {
  readonly top: number;
  readonly bottom: number;
  readonly down: number;
}

/** The class that has most at a place between two rows and two columns; of equal ones the first. */
function likeliest(
  { data, width, height }: Part,
  classes: number,
  { top, bottom, down }: Between,
  left: number,
  right: number,
  across: number,
): number {
  const plane = height * width;
  let upper = top * width;
  let lower = bottom * width;
  let id = 0;
  let best = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++, upper += plane, lower += plane) {
    const a = data[upper + left]!;
    const b = data[lower + left]!;
    const above = a + (data[upper + right]! - a) * across;
    const value = above + (b + (data[lower + right]! - b) * across - above) * down;
    if (value > best) {
      best = value;
      id = c;
    }
  }
  return id;
}
