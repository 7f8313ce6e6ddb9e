import { ensure } from '../core/errors.ts';
import { type OpenTextModel, TextRows } from './text-rows.ts';

/** -log softmax(scores)[id] of scores f32[V]. */
function lossOf(scores: Float32Array, id: number): number {
  let top = Number.NEGATIVE_INFINITY;
  for (const score of scores) top = Math.max(top, score);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - top);
  return top + Math.log(sum) - scores[id]!;
}

/**
 * textPerplexity: exp of the mean of -log p(next word) of an exported language model, word by word, as it writes. `tokens`: ids of a text, cut into
 * `batchSize` (1) rows as by `textWindows`; each begins without a memory, and its first word is not predicted.
 */
export async function textPerplexity(
  model: OpenTextModel,
  tokens: Int32Array,
  { batchSize = 1 }: { readonly batchSize?: number } = {},
): Promise<number> {
  const rowLength = Math.floor(tokens.length / batchSize);
  ensure(rowLength >= 2, 'bad-data', () => {
    return `textPerplexity: expected at least ${2 * batchSize} words for ${batchSize} rows, got ${tokens.length}`;
  });
  const rows = new TextRows(model);
  for (let row = 0; row < batchSize; row++) rows.add();
  let loss = 0;
  for (let t = 0; t + 1 < rowLength; t++) {
    const at = (row: number): number => row * rowLength + t;
    await rows.read(Int32Array.from({ length: batchSize }, (_, row) => tokens[at(row)]!));
    for (let row = 0; row < batchSize; row++) loss += lossOf(rows.result(row).scores, tokens[at(row) + 1]!);
  }
  return Math.exp(loss / (batchSize * (rowLength - 1)));
}
