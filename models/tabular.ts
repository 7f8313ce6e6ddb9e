import { dropout } from '../training/nn/dropout.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';

/* fastai's TabularModel: embeddings of categories beside numbers, then layers of linear, ReLU and batch norm. */

export interface TabularConfig {
  /** How many ids each column of categories has. */
  readonly categories: readonly number[];
  /** Columns of numbers behind those of categories. */
  readonly numbers: number;
  /** Classes, or numbers to predict. */
  readonly outputs: number;
  /** Widths of the hidden layers; [200, 100] by default. */
  readonly layers?: readonly number[];
  /** Dropout of the embeddings, and behind each hidden layer; 0 by default. */
  readonly embedDrop?: number;
  readonly dropout?: number;
}

/** fastai's rule of thumb for the width of an embedding of `count` ids. */
export const embeddingWidth = (count: number): number => Math.min(600, Math.round(1.6 * count ** 0.56));

/** tabularModel: x f32[N,C], ids of categories and then numbers -> f32[N,outputs]. Parameters `embeds.0.weight`, `bn_cont.*`, `layers.0.0.weight`, … */
export function tabularModel(scope: Scope, x: Value, config: TabularConfig): Value {
  const { categories, numbers, outputs, layers = [200, 100], embedDrop = 0, dropout: p = 0 } = config;
  const columns = (start: number, end: number): Value => o.slice(x, { axes: [1], starts: [start], ends: [end] });
  const embeds = categories.map((rows, i) => {
    const ids = o.squeeze(o.cast(columns(i, i + 1), 'int32'), [1]);
    return scope.in(`embeds.${i}`, (s) => nn.embedding(s, ids, { rows, width: embeddingWidth(rows) }));
  });
  const measures =
    numbers === 0
      ? []
      : [scope.in('bn_cont', (s) => nn.batchNorm(s, columns(categories.length, categories.length + numbers)))];
  const dropped = embeds.length === 0 ? [] : [dropout(scope, o.concat(embeds, 1), embedDrop)];
  const hidden = layers.reduce(
    (y, width, i) => {
      const z = scope.in(`layers.${i}.0`, (s) => nn.linear(s, y, width, { bias: false }));
      return dropout(
        scope,
        scope.in(`layers.${i}.2`, (s) => nn.batchNorm(s, o.relu(z))),
        p,
      );
    },
    o.concat([...dropped, ...measures], 1),
  );
  return scope.in(`layers.${layers.length}.0`, (s) => nn.linear(s, hidden, outputs));
}
