import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import type { Rng } from '../core/rng.ts';
import type { Size } from '../pictures/sizes.ts';
import { checkTransforms, noTransforms, type TransformSet } from '../pictures/transforms/augment.ts';
import type { ResizeMethod } from '../pictures/transforms/frame.ts';
import { imagenetStatistics, type Statistics } from '../pictures/transforms/normalise.ts';
import { checkBlockOptions } from './check-options.ts';
import { damageSpecOf } from './damage-spec.ts';
import type { SampleSpec } from './sample.ts';
import type { Split } from './split.ts';
import type { Splitter } from './splitters.ts';
import type {
  BlockBatch,
  Getter,
  LabelKind,
  LabelledItem,
  Labeller,
  LabelValues,
  PictureItem,
  Target,
} from './types.ts';

/** Changes a whole batch on the main thread, after everything else. */
export interface BatchTransform<K extends LabelKind = LabelKind> {
  readonly name: string;
  /** Default: training batches only. */
  readonly on?: 'train' | 'valid' | 'both';
  /** `rng` is the same for the same (seed, epoch, batch). May change the batch in place or return another. */
  apply(batch: BlockBatch<K>, rng: Rng): BlockBatch<K>;
}

/** What a data set is and how it becomes batches. */
export interface DataBlockOptions<S, I extends PictureItem, K extends LabelKind> {
  readonly get: Getter<S, I>;
  readonly split: Splitter<I>;
  readonly label: Labeller<I, K>;
  /** Of the samples, in pixels; a number for squares. Default: the first picture's, if it is in memory. */
  readonly size?: number | Size;
  /** How pictures of other shapes get the size; default `crop`. */
  readonly resize?: ResizeMethod;
  /** Short side to which larger photos are shrunk once, before all transforms; below it they keep their size. */
  readonly presize?: number;
  /** 1 grey, 3 RGB; default 3, or the first picture's if it is in memory. */
  readonly channels?: 1 | 3;
  readonly transforms?: TransformSet;
  /** Labels that are pictures are transformed as x is; default true. */
  readonly tfmY?: boolean;
  readonly batchTransforms?: readonly BatchTransform<K>[];
  /** Of x: by the first training batch's statistics, ImageNet's, given ones, or not at all (the default: values 0..1). */
  readonly normalise?: 'batch' | 'imagenet' | 'none' | Statistics;
  /** Default 64. */
  readonly batchSize?: number;
  readonly validBatchSize?: number;
  /** What happens to training items that fill no batch; default `drop`. `fill` adds items of a further shuffle. */
  readonly lastBatch?: 'drop' | 'keep' | 'fill';
  /** Training samples of an epoch, rounded up to whole batches: shuffle after shuffle of the items. Default: each item once. */
  readonly samplesPerEpoch?: number;
}

/** A source's items with their labels, and all that samples are made by. */
export interface BlockPlan<K extends LabelKind> {
  readonly train: readonly LabelledItem[];
  readonly valid: readonly LabelledItem[];
  /** Names of the classes by id; empty where labels are no classes. */
  readonly vocab: readonly string[];
  readonly spec: SampleSpec;
  readonly normalise: 'batch' | 'none' | Statistics;
  readonly batchSize: { readonly train: number; readonly valid: number };
  readonly lastBatch: 'drop' | 'keep' | 'fill';
  readonly samplesPerEpoch: number;
  readonly batchTransforms: readonly BatchTransform<K>[];
}

/** getItems: the items of a source; throws `bad-data` if there are none or two of one name. */
export async function getItems<S, I extends PictureItem>(get: Getter<S, I>, source: S): Promise<readonly I[]> {
  const items = await get(source);
  ensure(items.length > 0, 'bad-data', () => 'dataBlock: expected items, got none; check the source');
  const names = new Set<string>();
  for (const { name } of items) {
    ensure(!names.has(name), 'bad-data', () => `dataBlock: expected every name once, got '${name}' twice`);
    names.add(name);
  }
  return items;
}

/** The names of the classes in order of their ids. */
function vocabOf<I, K extends LabelKind>(
  { kind, classes }: Labeller<I, K>,
  trained: readonly LabelValues[K][],
): readonly string[] {
  if (classes !== undefined) return classes;
  if (kind !== 'category' && kind !== 'multi') return [];
  return [...new Set((trained as readonly (string | readonly string[])[]).flat())].sort();
}

/** A label as numbers, or the place of its picture. */
function targetOf(
  kind: LabelKind,
  value: LabelValues[LabelKind],
  ids: ReadonlyMap<string, number>,
  name: string,
): Target {
  if (kind === 'numbers') return value as readonly number[];
  if (kind === 'damaged') return (value as string | Image | undefined) ?? [];
  if (kind === 'image' || kind === 'mask') return value as string | Image;
  return [value as string | readonly string[]].flat().map((label) => {
    const id = ids.get(label);
    ensure(id !== undefined, 'bad-data', () => {
      return `label: expected one of ${ids.size} known classes for '${name}', got '${label}'; it is not among the training items: give the labeller all classes`;
    });
    return id;
  });
}

/** labelItems: the split's items with their labels, and the vocabulary (sorted names of the training part's classes). */
export function labelItems<I extends PictureItem, K extends LabelKind>(
  { train, valid }: Split<I>,
  labeller: Labeller<I, K>,
): { readonly train: LabelledItem[]; readonly valid: LabelledItem[]; readonly vocab: readonly string[] } {
  const trainValues = train.map((item) => labeller.label(item));
  const vocab = vocabOf(labeller, trainValues);
  const ids = new Map(vocab.map((name, id) => [name, id]));
  const labelled = (item: I, value: LabelValues[K]): LabelledItem => ({
    name: item.name,
    source: 'path' in item ? item.path : item.image,
    target: targetOf(labeller.kind, value, ids, item.name),
  });
  return {
    train: train.map((item, i) => labelled(item, trainValues[i]!)),
    valid: valid.map((item) => labelled(item, labeller.label(item))),
    vocab,
  };
}

/** How many numbers each item has; throws `bad-data` unless all have as many, and finite ones. */
function valueCount(items: readonly LabelledItem[]): number {
  const first = items[0]!.target as readonly number[];
  for (const { name, target } of items) {
    const numbers = target as readonly number[];
    ensure(numbers.length === first.length && numbers.every(Number.isFinite), 'bad-data', () => {
      return `label: expected ${first.length} finite numbers for '${name}', got [${numbers}]`;
    });
  }
  return first.length;
}

function specOf<S, I extends PictureItem, K extends LabelKind>(
  options: DataBlockOptions<S, I, K>,
  items: readonly LabelledItem[],
  classes: number,
): SampleSpec {
  const { label, transforms = noTransforms, resize = 'crop', presize, tfmY = true } = options;
  const first = items[0]!.source;
  const inMemory = typeof first === 'string' ? undefined : first;
  const size = typeof options.size === 'number' ? { width: options.size, height: options.size } : options.size;
  const known = size ?? inMemory;
  ensure(
    known !== undefined,
    'bad-argument',
    () => 'dataBlock: expected size for pictures on disk, got none; give size: 128, for example',
  );
  checkTransforms([...transforms.train, ...transforms.valid]);
  ensure(
    label.kind !== 'mask' || transforms.padding !== 'zeros' || label.ignoreId !== undefined,
    'bad-argument',
    () => {
      return "dataBlock: expected ignoreId for masks padded with 'zeros', got none; what lies outside has no class";
    },
  );
  if (label.kind === 'damaged') checkDamaged(options, known);
  return {
    size: { width: known.width, height: known.height },
    channels: options.channels ?? (inMemory?.channels === 1 ? 1 : 3),
    resize,
    presize,
    transforms,
    tfmY,
    label: {
      kind: label.kind,
      classes,
      values: label.kind === 'numbers' ? valueCount(items) : 0,
      ignoreId: label.ignoreId,
      ...(label.maskForm === undefined ? {} : { maskForm: label.maskForm }),
      ...(label.damage === undefined ? {} : { damage: damageSpecOf(label.damage, known.width) }),
    },
  };
}

/** Throws `bad-argument` for options that damaged pictures do not have: they are square, of three channels, and come about in their own way. */
function checkDamaged<S, I extends PictureItem, K extends LabelKind>(
  { channels = 3, transforms = noTransforms, resize, presize, normalise = 'none' }: DataBlockOptions<S, I, K>,
  { width, height }: Size,
): void {
  ensure(width === height && channels === 3, 'bad-argument', () => {
    return `dataBlock: expected square crops of 3 channels for labels.damaged, got ${width}x${height} of ${channels}`;
  });
  const plain =
    transforms.train.length + transforms.valid.length === 0 && resize === undefined && presize === undefined;
  ensure(plain && normalise === 'none', 'bad-argument', () => {
    return 'dataBlock: expected no transforms, resize, presize or normalise with labels.damaged, got some; its own options say how pictures are cropped';
  });
}

/** Throws `bad-argument` unless there is a finite mean and a deviation above 0 for each channel. */
function checkStatistics({ mean, std }: Statistics, channels: number): void {
  const fits =
    [mean, std].every((values) => values?.length === channels && values.every(Number.isFinite)) &&
    std.every((value) => value > 0);
  ensure(fits, 'bad-argument', () => {
    return `dataBlock: expected statistics of ${channels} channels to normalise by, deviations above 0, got mean [${mean}] and std [${std}]`;
  });
}

/** planBlock: gets, splits and labels a source's items; nothing is decoded. */
export async function planBlock<S, I extends PictureItem, K extends LabelKind>(
  options: DataBlockOptions<S, I, K>,
  source: S,
): Promise<BlockPlan<K>> {
  return finishPlan(options, options.split.split(await getItems(options.get, source)));
}

/** finishPlan: labels the split's items and settles the options. */
export function finishPlan<S, I extends PictureItem, K extends LabelKind>(
  options: DataBlockOptions<S, I, K>,
  split: Split<I>,
): BlockPlan<K> {
  checkBlockOptions(options);
  const {
    batchSize = 64,
    validBatchSize = batchSize,
    normalise = 'none',
    lastBatch = 'drop',
    samplesPerEpoch,
    batchTransforms = [],
  } = options;
  ensure(
    split.train.length > 0,
    'bad-data',
    () => `dataBlock: expected training items, got none (${options.split.describe}); check the split`,
  );
  const { train, valid, vocab } = labelItems(split, options.label);
  const spec = specOf(options, [...train, ...valid], vocab.length);
  const whole = lastBatch !== 'drop' || samplesPerEpoch !== undefined || train.length >= batchSize;
  ensure(whole, 'bad-argument', () => {
    return `dataBlock: expected at least one batch of ${batchSize} training items, got ${train.length}; lower batchSize or give lastBatch: 'fill'`;
  });
  const statistics = normalise === 'imagenet' ? imagenetStatistics : normalise;
  if (typeof statistics !== 'string') checkStatistics(statistics, spec.channels);
  return {
    train,
    valid,
    vocab,
    spec,
    normalise: statistics,
    batchSize: { train: batchSize, valid: validBatchSize },
    lastBatch: samplesPerEpoch === undefined ? lastBatch : 'fill',
    samplesPerEpoch: samplesPerEpoch ?? train.length,
    batchTransforms,
  };
}
