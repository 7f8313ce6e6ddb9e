import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import type { Rng } from '../core/rng.ts';
import { sizeOf } from '../core/tensor.ts';
import { luma } from '../pictures/damage/grey.ts';
import type { MaskForm } from '../pictures/masks/mask-form.ts';
import type { Size } from '../pictures/sizes.ts';
import { type Drawn, drawTransforms, samplingOf, type TransformSet, tablesOf } from '../pictures/transforms/augment.ts';
import type { ResizeMethod } from '../pictures/transforms/frame.ts';
import { saturate } from '../pictures/transforms/lighting.ts';
import type { Statistics } from '../pictures/transforms/normalise.ts';
import { type ByteTable, sampleMask, samplePlanes } from '../pictures/transforms/resample.ts';
import type { DamageSpec } from './damage-spec.ts';
import type { LabelKind } from './types.ts';

export type Part = 'train' | 'valid';

/** Everything that turns a decoded item into a sample. Plain data: it can travel to a thread. */
export interface SampleSpec {
  readonly size: Size;
  /** Of x, and of y where it is a picture: 1 grey, 3 RGB. */
  readonly channels: 1 | 3;
  readonly resize: ResizeMethod;
  /** Short side to which larger photos are shrunk once, right after decoding. */
  readonly presize: number | undefined;
  readonly transforms: TransformSet;
  /** A label that is a picture gets the same transforms as x. */
  readonly tfmY: boolean;
  readonly label: LabelSpec;
}

export interface LabelSpec {
  readonly kind: LabelKind;
  /** Number of classes; 0 where there are none. */
  readonly classes: number;
  /** Numbers per item of kind `numbers`. */
  readonly values: number;
  readonly ignoreId: number | undefined;
  /** How the files of masks encode the ids; as they are by default. */
  readonly maskForm?: MaskForm;
  /** How x is made from y, of damaged pictures. */
  readonly damage?: DamageSpec;
}

/** xDims: of one sample, [C,H,W]. */
export const xDims = ({ size, channels }: SampleSpec): number[] => [channels, size.height, size.width];

/** yDims: of one sample: [] a class, [classes], [K] numbers, [C,H,W] a picture, [H,W] a mask. */
export function yDims({ label, size, channels }: SampleSpec): number[] {
  const dims: Record<LabelKind, number[]> = {
    category: [],
    multi: [label.classes],
    numbers: [label.values],
    image: [channels, size.height, size.width],
    mask: [size.height, size.width],
    damaged: [channels, size.height, size.width],
  };
  return dims[label.kind];
}

/** yDType: what a label is stored as; both have four bytes. */
export const yDType = ({ label }: SampleSpec): 'int32' | 'float32' =>
  label.kind === 'category' || label.kind === 'mask' ? 'int32' : 'float32';

/** Elements of one sample's x and y. */
export const xLength = (spec: SampleSpec): number => sizeOf(xDims(spec));
export const yLength = (spec: SampleSpec): number => sizeOf(yDims(spec));

/** withChannels: a picture with at least the wanted channels: grey repeated; colour to its luma. */
export function withChannels(image: Image, channels: 1 | 3): Image {
  if (image.channels === channels || (image.channels === 4 && channels === 3)) return image;
  const { width, height, data, channels: own } = image;
  const out = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    if (channels === 3) out.fill(data[i]!, 3 * i, 3 * i + 3);
    else out[i] = Math.round(luma(data[i * own]!, data[i * own + 1]!, data[i * own + 2]!));
  }
  return { width, height, channels, data: out };
}

/** Views of one sample inside a batch. */
export interface SampleViews {
  readonly x: Float32Array;
  readonly y: Float32Array | Int32Array;
}

/** A decoded item: x, and the label's numbers or picture. */
export interface DecodedItem {
  readonly x: Image;
  readonly y: Image | readonly number[];
}

/** Tables of unchanged light, by statistics: most samples share them. */
const plainTables = new WeakMap<Statistics, readonly ByteTable[]>();

/** Tables of bytes -> (light - mean) / std, one per channel: normalising costs nothing, as interpolation is linear. */
function channelTables(drawn: Drawn, channels: 1 | 3, statistics: Statistics | undefined): readonly ByteTable[] {
  const light = tablesOf(drawn, channels);
  if (statistics === undefined) return light;
  const known = drawn.lighting === undefined ? plainTables.get(statistics) : undefined;
  const { mean, std } = statistics;
  const tables = known ?? light.map((table, c) => table.map((value) => (value - mean[c]!) / std[c]!));
  if (drawn.lighting === undefined) plainTables.set(statistics, tables);
  return tables;
}

/** Draws a picture's pixels into `view`, light and all. */
function writePicture(
  image: Image,
  { size, channels, transforms }: SampleSpec,
  drawn: Drawn,
  view: Float32Array,
  statistics?: Statistics,
): void {
  const tables = channelTables(drawn, channels, statistics);
  samplePlanes(withChannels(image, channels), samplingOf(drawn, size, transforms.padding), tables, view);
  const saturation = drawn.lighting?.saturation ?? 1;
  if (channels === 3 && saturation !== 1) saturate(view, saturation, statistics);
}

/** writeSample: transforms a decoded item into `views`; x is normalised if `statistics` are given. Returns what was drawn. */
export function writeSample(
  item: DecodedItem,
  spec: SampleSpec,
  part: Part,
  rng: Rng,
  views: SampleViews,
  statistics?: Statistics,
): Drawn {
  const { size, resize, transforms, tfmY } = spec;
  const sizes = { source: item.x, out: size, resize };
  const drawn = drawTransforms(transforms[part], rng, sizes);
  const plain = tfmY ? drawn : drawTransforms(transforms.valid, rng, sizes);
  writePicture(item.x, spec, drawn, views.x, statistics);
  writeTarget(item, spec, plain, views.y);
  return drawn;
}

function writeTarget({ x, y }: DecodedItem, spec: SampleSpec, drawn: Drawn, view: SampleViews['y']): void {
  const { label, size, transforms } = spec;
  if (!('data' in y)) {
    view.fill(0);
    if (label.kind === 'multi') for (const id of y) view[id] = 1;
    else view.set(y);
    return;
  }
  ensure(Math.abs((y.width * x.height) / (y.height * x.width) - 1) < 0.02, 'bad-data', () => {
    return `label picture: expected the shape of its photo, ${x.width}x${x.height} or a multiple, got ${y.width}x${y.height}`;
  });
  if (label.kind === 'mask') {
    checkIds(y, label);
    sampleMask(y, samplingOf(drawn, size, transforms.padding), label.ignoreId ?? 0, view as Int32Array);
  } else writePicture(y, spec, drawn, view as Float32Array);
}

/** Throws `bad-data` if a mask has an id that is neither a class nor the ignored one. */
function checkIds({ data, channels }: Image, { classes, ignoreId }: LabelSpec): void {
  for (let i = 0; i < data.length; i += channels) {
    const id = data[i]!;
    ensure(id < classes || id === ignoreId, 'bad-data', () => {
      return `mask: expected ids 0..${classes - 1}${ignoreId === undefined ? '' : ` or ${ignoreId}`}, got ${id}; name all classes, or state which id to ignore`;
    });
  }
}
