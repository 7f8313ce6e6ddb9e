import type { Tensor } from '../../training/core/tensor.ts';
import type { OpenTextModel } from '../../training/generate/text-rows.ts';
import { specialTokens } from '../../training/text/special.ts';
import { Vocab } from '../../training/text/vocab.ts';

const vocab = new Vocab([...specialTokens, 'a', 'b', 'c', '.', '7', '\n']);

export interface ChainModel extends OpenTextModel {
  /** Rows and words per row of every run. */
  readonly runs: (readonly [rows: number, words: number])[];
  /** What the states of the rows were after each run: the words that they have read. */
  readonly read: (readonly number[])[];
}

/** A model that states, by the last word and the number of words so far, how likely each next one is; its state counts the words read. */
export function chainModel(next: (last: string, read: number) => Readonly<Record<string, number>>): ChainModel {
  const [runs, read]: [ChainModel['runs'], ChainModel['read']] = [[], []];
  const run: OpenTextModel['session']['run'] = async ({ words: fed, 'state.0.hidden': state }, fetches) => {
    const [n, t] = fed!.dims as [number, number];
    runs.push([n, t]);
    const into = fetches as Readonly<Record<string, Tensor<'float32'>>>;
    const [scores, states] = [into.scores!, into['next/state.0.hidden']!];
    for (let row = 0; row < n; row++) {
      const count = Number(state!.data[row]) + t;
      const likely = next(vocab.words[Number(fed!.data[(row + 1) * t - 1])]!, count);
      for (const [id, word] of vocab.words.entries())
        scores.data[row * vocab.size + id] = Math.log(likely[word] ?? 1e-9);
      states.data[row] = count;
    }
    read.push([...states.data.subarray(0, n)]);
    await new Promise((resolve) => setImmediate(resolve));
    return fetches!;
  };
  return { session: { run }, vocab, states: [{ name: 'state.0.hidden', size: 1 }], runs, read };
}
