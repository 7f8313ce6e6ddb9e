import { type AwdLstmConfig, awdLstmSizes } from '../../models/awd-lstm.ts';
import { createRng } from '../../training/core/rng.ts';

/** Weights of an untrained language model, as PyTorch would begin; the row of padding is zero. */
export function randomTextWeights(config: AwdLstmConfig, seed: number): Map<string, Float32Array> {
  const { words, width, cell = 'lstm', paddingIndex } = config;
  const rng = createRng(seed, 'text model');
  const fill = (size: number, most: number): Float32Array =>
    Float32Array.from({ length: size }, () => most * (2 * rng.next() - 1));
  const embedding = fill(words * width, 0.1).fill(0, paddingIndex * width, (paddingIndex + 1) * width);
  const weights = new Map([
    ['encoder.weight', embedding],
    ['decoder.bias', fill(words, 0.1)],
  ]);
  const gates = cell === 'gru' ? 3 : 4;
  let features = width;
  for (const [i, hidden] of awdLstmSizes(config).entries()) {
    const most = 1 / Math.sqrt(hidden);
    const parts = { weight_ih_l0: features, weight_hh_l0: hidden, bias_ih_l0: 1, bias_hh_l0: 1 };
    for (const [part, columns] of Object.entries(parts))
      weights.set(`rnns.${i}.${part}`, fill(gates * hidden * columns, most));
    features = hidden;
  }
  return weights;
}
