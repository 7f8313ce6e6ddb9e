import { ensure } from '../../core/errors.ts';
import { type Tensor, tensor } from '../../core/tensor.ts';
import type { OpenTextModel } from './generate.ts';

/** -log softmax(scores)[id] of row `row` of scores f32[N,V]. */
function lossOf(scores: Float32Array, row: number, words: number, id: number): number {
  const own = scores.subarray(row * words, (row + 1) * words);
  let top = Number.NEGATIVE_INFINITY;
  for (const score of own) top = Math.max(top, score);
  let sum = 0;
  for (const score of own) sum += Math.exp(score - top);
  return top + Math.log(sum) - own[id]!;
}

/**
 * textPerplexity: exp of the mean of -log p(next word) of an exported language model, word by word, as it writes. `tokens`: ids of a text, cut into
 * `batchSize` (1) rows as by `textWindows`; each begins without a memory, and its first word is not predicted.
 */
export async function textPerplexity(
  { session, vocab, states }: OpenTextModel,
  tokens: Int32Array,
  { batchSize = 1 }: { readonly batchSize?: number } = {},
): Promise<number> {
  const rowLength = Math.floor(tokens.length / batchSize);
  ensure(rowLength >= 2, 'bad-data', () => {
    return `textPerplexity: expected at least ${2 * batchSize} words for ${batchSize} rows, got ${tokens.length}`;
  });
  let carried: Record<string, Tensor> = Object.fromEntries(
    states.map(({ name, size }) => [name, tensor('float32', [1, batchSize, size], new Float32Array(batchSize * size))]),
  );
  let loss = 0;
  for (let t = 0; t + 1 < rowLength; t++) {
    const at = (row: number): number => row * rowLength + t;
    const data = Int32Array.from({ length: batchSize }, (_, row) => tokens[at(row)]!);
    const results = await session.run({ words: tensor('int32', [batchSize, 1], data), ...carried });
    const scores = results.scores!.data as Float32Array;
    for (let row = 0; row < batchSize; row++) loss += lossOf(scores, row, vocab.size, tokens[at(row) + 1]!);
    carried = Object.fromEntries(states.map(({ name }) => [name, results[`next/${name}`]!]));
  }
  return Math.exp(loss / (batchSize * (rowLength - 1)));
}
