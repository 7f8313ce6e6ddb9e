import { type DataLoaders, type LoaderOptions, openLoaders } from './loaders.node.ts';
import { type BlockPlan, type DataBlockOptions, planBlock } from './plan.ts';
import { summarise } from './summary.node.ts';
import type { LabelKind, PictureItem } from './types.ts';

/** A data set described: where items come from, how they are split, labelled, transformed and put into batches. */
export interface DataBlock<S, I extends PictureItem, K extends LabelKind> {
  readonly options: DataBlockOptions<S, I, K>;
  /** Gets, splits and labels; decodes nothing. */
  plan(source: S): Promise<BlockPlan<K>>;
  /**
   * Walks one sample through every step and prints what each one made. A step that fails is named, with the file. Returns the
   * lines.
   */
  summary(source: S, print?: (line: string) => void): Promise<readonly string[]>;
}

/** dataBlock: fastai's data block. One description for any number of sources; `createDataLoaders` makes batches of it. */
export const dataBlock = <S, I extends PictureItem, K extends LabelKind>(
  options: DataBlockOptions<S, I, K>,
): DataBlock<S, I, K> => ({
  options,
  plan: (source) => planBlock(options, source),
  summary: (source, print = console.log) => summarise(options, source, print),
});

/** createDataLoaders: the training and validation batches of a source. Nothing is decoded before it is asked for. */
export const createDataLoaders = async <S, I extends PictureItem, K extends LabelKind>(
  block: DataBlock<S, I, K>,
  source: S,
  options: LoaderOptions = {},
): Promise<DataLoaders<K>> => openLoaders(await block.plan(source), options);
