import { ensure } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import type { Size } from '../sizes.ts';
import { type Frame, frameFor, frameMatrix, type ResizeMethod, randomFrame } from './frame.ts';
import { dihedral, identity, type Matrix, multiply, projection, rotation, scaling, translation } from './geometry.ts';
import { type Lighting, lightingTables, logit } from './lighting.ts';
import { type ByteTable, type Padding, type Sampling, unitTable } from './resample.ts';

type Range = readonly [low: number, high: number];

/** A random change of a picture, as plain data so that it can travel to a thread. `p` is its probability. */
export type Transform =
  | { readonly kind: 'flip'; readonly p: number }
  | { readonly kind: 'dihedral'; readonly p: number }
  /** Degrees, clockwise. */
  | { readonly kind: 'rotate'; readonly degrees: Range; readonly p: number }
  /** Enlarges by a factor about a random place; below 1 padding shows. */
  | { readonly kind: 'zoom'; readonly scale: Range; readonly p: number }
  /** Perspective: each side is tilted by a random share of its length. */
  | { readonly kind: 'warp'; readonly magnitude: Range; readonly p: number }
  /** 0.5 changes nothing, 0 is black, 1 white. */
  | { readonly kind: 'brightness'; readonly change: Range; readonly p: number }
  /** 1 changes nothing; log-uniform. */
  | { readonly kind: 'contrast'; readonly scale: Range; readonly p: number }
  /** A cast of colour: a brightness for each channel of its own, as another white balance or another camera makes it. */
  | { readonly kind: 'tint'; readonly change: Range; readonly p: number }
  /** 0 is grey, 1 changes nothing. */
  | { readonly kind: 'saturation'; readonly scale: Range; readonly p: number }
  /** Where the resize method `crop` cuts: anywhere instead of from the middle. */
  | { readonly kind: 'randomCrop' }
  /** Pads every side by `padding` output pixels and cuts the output's size out at a random whole pixel. */
  | { readonly kind: 'randPad'; readonly padding: number }
  /** A crop of random area (share of the picture) and shape (width over height) instead of the resize method's. */
  | { readonly kind: 'randomResizedCrop'; readonly area: Range; readonly ratio: Range };

/** Transforms of training and of validation samples, and what the picture is surrounded by. */
export interface TransformSet {
  readonly train: readonly Transform[];
  readonly valid: readonly Transform[];
  readonly padding: Padding;
}

export interface GetTransformsOptions {
  readonly doFlip?: boolean;
  /** Also upside down and on its side: one of the eight symmetries. */
  readonly flipVert?: boolean;
  /** Degrees. */
  readonly maxRotate?: number;
  readonly maxZoom?: number;
  readonly maxLighting?: number;
  readonly maxWarp?: number;
  /** Probability of each of warp, rotation and zoom. */
  readonly pAffine?: number;
  /** Probability of each of brightness and contrast. */
  readonly pLighting?: number;
  readonly padding?: Padding;
  /** Further transforms for training. */
  readonly extra?: readonly Transform[];
}

/** getTransforms: fastai's standard augmentation, with its defaults: flip, warp 0.2, rotate 10, zoom 1.1, lighting 0.2. */
export function getTransforms(options: GetTransformsOptions = {}): TransformSet {
  const { doFlip = true, flipVert = false, maxRotate = 10, maxZoom = 1.1, maxLighting = 0.2, maxWarp = 0.2 } = options;
  const { pAffine = 0.75, pLighting = 0.75, padding = 'reflection', extra = [] } = options;
  const light = [0.5 * (1 - maxLighting), 0.5 * (1 + maxLighting)] as const;
  const symmetry: Transform = flipVert ? { kind: 'dihedral', p: 1 } : { kind: 'flip', p: 0.5 };
  const affine: Transform[] = [
    { kind: 'warp', magnitude: [-maxWarp, maxWarp], p: maxWarp > 0 ? pAffine : 0 },
    { kind: 'rotate', degrees: [-maxRotate, maxRotate], p: maxRotate > 0 ? pAffine : 0 },
    { kind: 'zoom', scale: [1, maxZoom], p: maxZoom > 1 ? pAffine : 0 },
  ];
  const lighting: Transform[] = [
    { kind: 'brightness', change: light, p: maxLighting > 0 ? pLighting : 0 },
    { kind: 'contrast', scale: [1 - maxLighting, 1 / (1 - maxLighting)], p: maxLighting > 0 ? pLighting : 0 },
  ];
  const used = [...affine, ...lighting].filter((transform) => 'p' in transform && transform.p > 0);
  const train: Transform[] = [{ kind: 'randomCrop' }, ...(doFlip ? [symmetry] : []), ...used, ...extra];
  checkTransforms(train);
  return { train, valid: [], padding };
}

/** randPad: training pictures are moved by up to `padding` whole pixels (fastai's `rand_pad`). */
export const randPad = (padding: number, mode: Padding = 'reflection'): TransformSet => ({
  train: [{ kind: 'randPad', padding }],
  valid: [],
  padding: mode,
});

/** randomResizedCrop: for a transform list; area share 0.08..1 and ratio 3/4..4/3 by default. */
export const randomResizedCrop = (area: Range = [0.08, 1], ratio: Range = [3 / 4, 4 / 3]): Transform => ({
  kind: 'randomResizedCrop',
  area,
  ratio,
});

/** No transforms. */
export const noTransforms: TransformSet = { train: [], valid: [], padding: 'reflection' };

/** What a transform's numbers may be, by their names; the geometry must stay invertible. */
const limits: Readonly<Record<string, Range>> = {
  p: [0, 1],
  degrees: [-360, 360],
  'zoom.scale': [0.01, 100],
  'contrast.scale': [0.01, 100],
  'saturation.scale': [0, 10],
  magnitude: [-0.49, 0.49],
  change: [0, 1],
  padding: [0, 4096],
  area: [1e-4, 1],
  ratio: [0.01, 100],
};

/** checkTransforms: throws `bad-argument` for a range or probability that cannot be meant. */
export function checkTransforms(transforms: readonly Transform[]): void {
  for (const { kind, ...numbers } of transforms) {
    for (const [key, value] of Object.entries(numbers) as [string, number | Range][]) {
      const [low, high] = typeof value === 'number' ? [value, value] : value;
      const [least, most] = limits[key] ?? limits[`${kind}.${key}`]!;
      ensure(low >= least && high <= most && low <= high, 'bad-argument', () => {
        return `transform ${kind}: expected ${key} within ${least}..${most}, low first, got ${value}`;
      });
    }
  }
}

/** What the random numbers chose for one sample. */
export interface Drawn {
  /** Output pixels from the centre -> output pixels from the centre, before the frame. */
  readonly geometry: Matrix;
  readonly frame: Frame;
  /** Undefined leaves the light alone. */
  readonly lighting: Lighting | undefined;
}

/** What the draws of a sample have in common. */
interface Draft {
  geometry: Matrix;
  frame: Frame;
  shift: number;
  contrast: number;
  tint: readonly number[];
  saturation: number;
}

/** Corners of the square -1..1, and where a warp of (top, bottom, left, right) tilts moves them from. */
const CORNERS = [
  [-1, -1],
  [-1, 1],
  [1, -1],
  [1, 1],
] as const;
const warpMatrix = ([a, b, c, d]: readonly number[], { width, height }: Size): Matrix => {
  const moved = [
    [-1 - d!, -1 - b!],
    [-1 - c!, 1 + b!],
    [1 + d!, -1 - a!],
    [1 + c!, 1 + a!],
  ] as const;
  const unit = scaling(2 / width, 2 / height);
  return multiply(scaling(width / 2, height / 2), multiply(projection(moved, CORNERS), unit));
};

const between = ([low, high]: Range, share: number): number => low + (high - low) * share;

/** One row per kind: applies itself to the draft. Each takes all its random numbers whether it acts or not. */
const rows: {
  readonly [K in Transform['kind']]: (
    draft: Draft,
    transform: Extract<Transform, { kind: K }>,
    rng: Rng,
    sizes: { readonly source: Size; readonly out: Size; readonly resize: ResizeMethod },
  ) => void;
} = {
  flip: (draft, { p }, rng) => {
    if (rng.next() < p) draft.geometry = multiply(scaling(-1, 1), draft.geometry);
  },
  dihedral: (draft, { p }, rng, { out }) => {
    const [acts, index] = [rng.next() < p, rng.int(0, 7)];
    // On its side a picture of another shape would leave its frame: stretched to stay in it.
    const unit = scaling(1 / out.width, 1 / out.height);
    const whole = multiply(scaling(out.width, out.height), multiply(dihedral(index), unit));
    if (acts) draft.geometry = multiply(whole, draft.geometry);
  },
  rotate: (draft, { p, degrees }, rng) => {
    const [acts, angle] = [rng.next() < p, between(degrees, rng.next())];
    // The map leads from the result back to the source, so it turns the other way.
    if (acts) draft.geometry = multiply(rotation(-angle), draft.geometry);
  },
  zoom: (draft, { p, scale }, rng, { out }) => {
    const [acts, factor, x, y] = [rng.next() < p, between(scale, rng.next()), rng.next(), rng.next()];
    const room = 1 - 1 / factor;
    const moved = translation((x - 0.5) * room * out.width, (y - 0.5) * room * out.height);
    if (acts) draft.geometry = multiply(multiply(moved, scaling(1 / factor, 1 / factor)), draft.geometry);
  },
  warp: (draft, { p, magnitude }, rng, { out }) => {
    const [acts, tilts] = [rng.next() < p, [0, 0, 0, 0].map(() => between(magnitude, rng.next()))];
    if (acts) draft.geometry = multiply(warpMatrix(tilts, out), draft.geometry);
  },
  brightness: (draft, { p, change }, rng) => {
    const [acts, level] = [rng.next() < p, between(change, rng.next())];
    if (acts) draft.shift += logit(level);
  },
  contrast: (draft, { p, scale }, rng) => {
    const [acts, factor] = [rng.next() < p, scale[0] * (scale[1] / scale[0]) ** rng.next()];
    if (acts) draft.contrast *= factor;
  },
  tint: (draft, { p, change }, rng) => {
    const [acts, shifts] = [rng.next() < p, [0, 0, 0].map(() => logit(between(change, rng.next())))];
    if (acts) draft.tint = draft.tint.map((tint, c) => tint + shifts[c]!);
  },
  saturation: (draft, { p, scale }, rng) => {
    const [acts, factor] = [rng.next() < p, between(scale, rng.next())];
    if (acts) draft.saturation *= factor;
  },
  randomCrop: (draft, _, rng, { source, out, resize }) => {
    draft.frame = frameFor(source, out, resize, { x: rng.next(), y: rng.next() });
  },
  randPad: (draft, { padding }, rng) => {
    const [x, y] = [rng.int(-padding, padding), rng.int(-padding, padding)];
    draft.geometry = multiply(translation(x, y), draft.geometry);
  },
  randomResizedCrop: (draft, ranges, rng, { source, out }) => {
    draft.frame = randomFrame(source, out, ranges, rng);
  },
};

/** drawTransforms: the random choices of one sample, in the order of the list; the same stream gives the same ones. */
export function drawTransforms(
  transforms: readonly Transform[],
  rng: Rng,
  sizes: { readonly source: Size; readonly out: Size; readonly resize: ResizeMethod },
): Drawn {
  const draft: Draft = {
    geometry: identity,
    frame: frameFor(sizes.source, sizes.out, sizes.resize),
    shift: 0,
    contrast: 1,
    tint: [0, 0, 0],
    saturation: 1,
  };
  for (const transform of transforms) {
    const row = rows[transform.kind] as (d: Draft, t: Transform, r: Rng, s: typeof sizes) => void;
    row(draft, transform, rng, sizes);
  }
  const { geometry, frame, ...light } = draft;
  const plain = light.shift === 0 && light.contrast === 1 && light.saturation === 1 && light.tint.every((t) => t === 0);
  return { geometry, frame, lighting: plain ? undefined : light };
}

/** samplingOf: all geometry of a draw as one resampling. */
export const samplingOf = ({ geometry, frame }: Drawn, size: Size, padding: Padding): Sampling => ({
  matrix: multiply(frameMatrix(frame, size), geometry),
  size,
  padding,
});

/** tablesOf: what the draw's light makes of each byte of each channel, 0..1; grey pictures have no tint. Saturation is not in it. */
export const tablesOf = ({ lighting }: Drawn, channels: 1 | 3): readonly ByteTable[] =>
  lighting ? lightingTables(lighting, channels) : Array.from({ length: channels }, () => unitTable);
