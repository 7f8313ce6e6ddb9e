/**
 * How a mask's file states the classes. Plain data: it can travel to a thread.
 * - `ids`: one channel of ids, or a palette whose places are the ids.
 * - `colors`: the colour of each class, RGB 0..255 by id; a pixel of another colour is an error that names it.
 * - `threshold`: one class: grey values of at least this (0..255) are 1, others 0.
 */
export type MaskForm =
  | { readonly kind: 'ids' }
  | { readonly kind: 'colors'; readonly colors: readonly (readonly [number, number, number])[] }
  | { readonly kind: 'threshold'; readonly from: number };
