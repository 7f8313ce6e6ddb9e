import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import type { LoaderOptions } from './loaders.node.ts';
import type { DataBlockOptions } from './plan.ts';
import type { LabelKind, PictureItem } from './types.ts';

const blockNames = namesOf<DataBlockOptions<unknown, PictureItem, LabelKind>>({
  get: true,
  split: true,
  label: true,
  size: true,
  resize: true,
  presize: true,
  channels: true,
  transforms: true,
  tfmY: true,
  batchTransforms: true,
  normalise: true,
  batchSize: true,
  validBatchSize: true,
  lastBatch: true,
  samplesPerEpoch: true,
});

const loaderNames = namesOf<LoaderOptions>({
  seed: true,
  workers: true,
  prefetch: true,
  cacheBytes: true,
  onFailure: true,
});

/** Throws unless every value that is there is a whole number of at least 1. */
function needWhole(where: string, values: Readonly<Record<string, number | undefined>>): void {
  for (const [name, value] of Object.entries(values))
    ensure(value === undefined || (Number.isSafeInteger(value) && value >= 1), 'bad-argument', () => {
      return `${where}: expected a whole ${name} of at least 1, got ${value}`;
    });
}

/** Throws unless a value that is there is one of those. */
function needOneOf(where: string, name: string, value: unknown, all: readonly unknown[], also = ''): void {
  ensure(value === undefined || all.includes(value), 'bad-argument', () => {
    return `${where}: expected ${name} ${all.join(', ')}${also}, got ${value}`;
  });
}

/** checkBlockOptions: throws `bad-argument` for an unknown option, a size or count that is not whole, or a choice there is not. */
export function checkBlockOptions<S, I extends PictureItem, K extends LabelKind>(
  options: DataBlockOptions<S, I, K>,
): void {
  const where = 'dataBlock';
  knownKeys(where, options, blockNames);
  const {
    size,
    presize,
    batchSize,
    validBatchSize,
    samplesPerEpoch,
    resize,
    lastBatch,
    channels,
    normalise,
    transforms,
  } = options;
  const { width, height } = typeof size === 'object' ? size : { width: size, height: size };
  ensure(typeof size !== 'object' || (width !== undefined && height !== undefined), 'bad-argument', () => {
    return `${where}: expected a number or { width, height } for size, got ${JSON.stringify(size)}`;
  });
  needWhole(where, { size: width, 'height of size': height, presize, batchSize, validBatchSize, samplesPerEpoch });
  needOneOf(where, 'resize', resize, ['crop', 'squish', 'pad']);
  needOneOf(where, 'lastBatch', lastBatch, ['drop', 'keep', 'fill']);
  needOneOf(where, 'channels', channels, [1, 3]);
  needOneOf(where, "transforms' padding", transforms?.padding, ['reflection', 'border', 'zeros']);
  if (typeof normalise !== 'object')
    needOneOf(where, 'normalise', normalise, ['batch', 'imagenet', 'none'], ' or { mean, std }');
}

/** checkLoaderOptions: throws `bad-argument` for an unknown option or a count that is not whole. */
export function checkLoaderOptions(options: LoaderOptions): void {
  const where = 'createDataLoaders';
  knownKeys(where, options, loaderNames);
  const { workers, prefetch, cacheBytes = 0 } = options;
  needWhole(where, { workers, prefetch });
  ensure(cacheBytes >= 0, 'bad-argument', () => `${where}: expected cacheBytes of at least 0, got ${cacheBytes}`);
}
