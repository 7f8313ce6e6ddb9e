import type { Image } from '../core/image.ts';
import type { Tensor } from '../core/tensor.ts';
import type { MaskForm } from '../pictures/masks/mask-form.ts';
import type { DamageSpec } from './damage-spec.ts';
import type { Named } from './split.ts';

/** A picture on disk. */
export interface FileItem extends Named {
  readonly path: string;
}

/** A picture on disk that a row of a table names. */
export interface RowItem extends FileItem {
  readonly row: Readonly<Record<string, string>>;
}

/** A picture in memory, with its label where the source has one. */
export interface ArrayItem extends Named {
  readonly image: Image;
  readonly label?: string;
}

/** Anything that a picture can be had from. */
export type PictureItem = FileItem | ArrayItem;

/** Finds the items of a source; they keep the order in which it returns them. */
export type Getter<S, I> = (source: S) => Promise<readonly I[]> | readonly I[];

/** What a label is: a class, several classes, numbers, another picture, a class for every pixel, or the picture itself, of which x is a damaged copy. */
export type LabelKind = 'category' | 'multi' | 'numbers' | 'image' | 'mask' | 'damaged';

/** The label of an item: names of classes, numbers, or where the picture is (a path, or the pixels). */
export interface LabelValues {
  readonly category: string;
  readonly multi: readonly string[];
  readonly numbers: readonly number[];
  readonly image: string | Image;
  readonly mask: string | Image;
  /** The damaged copy, where there is one already. */
  readonly damaged: string | Image | undefined;
}

/** What becomes of it in a batch of B: i32[B], f32[B,classes], f32[B,K], f32[B,C,H,W], i32[B,H,W], f32[B,3,H,W]. */
export interface LabelDTypes {
  readonly category: 'int32';
  readonly multi: 'float32';
  readonly numbers: 'float32';
  readonly image: 'float32';
  readonly mask: 'int32';
  readonly damaged: 'float32';
}

/** The label of an item. */
export interface Labeller<I, K extends LabelKind> {
  readonly kind: K;
  /** In words, for the summary. */
  readonly describe: string;
  label(item: I): LabelValues[K];
  /** Of masks: the names of the ids 0, 1, ... in order. Of classes: all there may be (default: those of the training part). */
  readonly classes?: readonly string[];
  /** Of masks: the id of pixels that no class claims; also what lies outside of a picture padded with zeros. */
  readonly ignoreId?: number;
  /** Of masks: how their files encode the ids; as they are by default. */
  readonly maskForm?: MaskForm;
  /** Of damaged pictures: how x is made from y. */
  readonly damage?: Partial<DamageSpec>;
}

/** A label as a sample is made from it: class ids or numbers, or a picture (its path or pixels). */
export type Target = readonly number[] | string | Image;

/** An item ready for sampling. Plain data: it can travel to a thread. */
export interface LabelledItem extends Named {
  readonly source: string | Image;
  readonly target: Target;
}

/** x f32[B,C,H,W] and y as {@link LabelDTypes} states. Valid until the next step of the iteration. */
export interface BlockBatch<K extends LabelKind = LabelKind> {
  readonly x: Tensor<'float32'>;
  readonly y: Tensor<LabelDTypes[K]>;
  /** The item that each sample shows, by name. */
  readonly items: readonly string[];
}
