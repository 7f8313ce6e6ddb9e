import { dataBlock } from '../../training/data/block.node.ts';
import * as labels from '../../training/data/labellers.ts';
import type { DataLoaders } from '../../training/data/loaders.node.ts';
import type { DataBlockOptions } from '../../training/data/plan.ts';
import { fromFolder } from '../../training/data/sources.node.ts';
import { splitByFolder } from '../../training/data/splitters.ts';
import type { FileItem, LabelKind } from '../../training/data/types.ts';
import { getTransforms } from '../../training/pictures/transforms/augment.ts';
import { wavyImage, writePhoto } from './photos.ts';

/** Copies of an epoch's batches: their tensors are reused. */
export async function collect<K extends LabelKind>(loader: DataLoaders<K>['train'], epoch = 0, fromBatch = 0) {
  const batches: { x: Float32Array; y: Float32Array | Int32Array; dims: string; items: readonly string[] }[] = [];
  for await (const { x, y, items } of loader.epoch(epoch, { fromBatch })) {
    batches.push({ x: x.data.slice(), y: y.data.slice(), dims: `${x.dims} ${y.dims}`, items });
  }
  return batches;
}

export const kinds = ['cat', 'dog', 'emu'];

/** A folder `train/` and `valid/` of PNG pictures in folders named after their classes. */
export async function writeSet(folder: string, count = 12): Promise<string> {
  for (let i = 0; i < count; i++) {
    const part = i % 4 === 3 ? 'valid' : 'train';
    await writePhoto(folder, `${part}/${kinds[i % 3]}/p${i}.png`, wavyImage(40, 32, i));
  }
  return folder;
}

export const folderBlock = (options: Partial<DataBlockOptions<string, FileItem, 'category'>> = {}) =>
  dataBlock({
    get: fromFolder(),
    split: splitByFolder(),
    label: labels.parentFolder<FileItem>(),
    size: 24,
    transforms: getTransforms(),
    batchSize: 4,
    ...options,
  });

/** Runs with a block's loaders, then closes them. */
export async function withLoaders<T, K extends LabelKind>(
  loaders: Promise<DataLoaders<K>>,
  body: (data: DataLoaders<K>) => Promise<T>,
) {
  const data = await loaders;
  try {
    return await body(data);
  } finally {
    await data.close();
  }
}

export const failureOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no failure',
    (error: Error) => error.message,
  );
