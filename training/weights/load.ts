import type { TrainState } from '../step/state.ts';
import { matchWeights, type WeightReport, type WeightRules } from './match.ts';
import type { WeightFile } from './read.ts';

/**
 * Puts the weights of a file into a state, by name; what the file does not have keeps its values. Returns what became of every name.
 * Throws `bad-checkpoint`, and then changes nothing, when they do not belong together; see {@link WeightRules}.
 */
export function loadWeights(state: TrainState, file: WeightFile, rules: WeightRules = {}): WeightReport {
  const { values, report } = matchWeights(state.specs, file, rules);
  for (const [name, value] of values) state.tensors.get(name)!.data.set(value);
  return report;
}
