import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { needProbability } from './common.ts';
import { keepMask } from './dropout.ts';
import { type Init, normalInit } from './init.ts';
import type { Scope } from './scope.ts';

export interface EmbeddingOptions {
  /** How many different items there are. */
  readonly rows: number;
  /** Numbers per item. */
  readonly width: number;
  /** The row of the padding item: zeros at first, and no gradient reaches it. */
  readonly paddingIndex?: number;
  /** Embedding dropout (Gal & Ghahramani 2016): items drawn with this probability are zero wherever they occur in the batch. */
  readonly dropout?: number;
  readonly init?: Init;
}

const optionNames = namesOf<EmbeddingOptions>({
  rows: true,
  width: true,
  paddingIndex: true,
  dropout: true,
  init: true,
});

const zeroRow =
  (init: Init, row: number | undefined): Init =>
  (shape, seed, made) => {
    const values = init(shape, seed, made);
    const width = shape[1]!;
    return row === undefined ? values : values.fill(0, row * width, (row + 1) * width);
  };

/**
 * indices int32[...] in 0..rows-1 -> f32[...,width]: the rows of a trained table. Parameter `weight` [rows,width], normal at
 * first (PyTorch's). The gradient adds only to the rows that occur, see `training/grad/indexing.ts`; so does the dropout.
 * Throws `bad-dtype`, `bad-argument`.
 */
export function embedding(scope: Scope, indices: Value, options: EmbeddingOptions): Value {
  knownKeys('embedding', options, optionNames);
  const { rows, width, paddingIndex, dropout = 0, init = normalInit(1) } = options;
  needProbability(dropout, 'embedding');
  ensure(paddingIndex === undefined || (paddingIndex >= 0 && paddingIndex < rows), 'bad-argument', () => {
    return `embedding: expected a padding index in 0..${rows - 1}, got ${paddingIndex}`;
  });
  ensure(indices.dtype === 'int32', 'bad-dtype', () => `embedding: expected int32 indices, got ${showValue(indices)}`);
  const table = scope.param('weight', [rows, width], zeroRow(init, paddingIndex));
  let y = o.gather(table, indices);
  const last = indices.shape.length;
  if (paddingIndex !== undefined && scope.training)
    y = o.where(o.unsqueeze(o.equal(indices, paddingIndex), [last]), o.detach(y), y);
  if (dropout === 0 || !scope.training) return y;
  return o.mul(y, o.unsqueeze(o.gather(keepMask(scope, [rows], dropout), indices), [last]));
}
