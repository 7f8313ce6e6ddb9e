import { ensure } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';

/** How the next word is chosen from the scores of all words. */
export interface SampleOptions {
  /** Scores are divided by it: below 1 likely words become likelier; 0 takes the likeliest. 1 when left out. */
  readonly temperature?: number;
  /** Only the k likeliest words; all when 0 or left out. */
  readonly topK?: number;
  /** Only the likeliest words that together have this probability, in (0, 1] (Holtzman et al. 2020); 1 when left out. */
  readonly topP?: number;
  /** Only words that have this share of the likeliest one's probability, in [0, 1]; 0 when left out. */
  readonly minP?: number;
  /** Positive scores of words that occurred are divided by it, negative ones multiplied (Keskar et al. 2019); 1 when left out. */
  readonly repetitionPenalty?: number;
}

const ranges: Readonly<Record<keyof SampleOptions, readonly [low: number, high: number]>> = {
  temperature: [0, 100],
  topK: [0, Number.MAX_SAFE_INTEGER],
  topP: [Number.MIN_VALUE, 1],
  minP: [0, 1],
  repetitionPenalty: [0.01, 100],
};

/** Throws `bad-argument` for a number out of its range. */
export function checkSampling(options: SampleOptions): void {
  for (const [name, [low, high]] of Object.entries(ranges)) {
    const value = options[name as keyof SampleOptions];
    const fits = value === undefined || (value >= low && value <= high && (name !== 'topK' || Number.isInteger(value)));
    const range = name === 'topP' ? 'above 0 and at most 1' : `${low}..${high}`;
    ensure(fits, 'bad-argument', () => `sampling: expected ${name} in ${range}, got ${value}`);
  }
}

/** Scores after the penalty, one's own copy. */
function penalised(scores: Float32Array, seen: Iterable<number>, penalty: number): Float32Array {
  const own = scores.slice();
  if (penalty !== 1) for (const id of new Set(seen)) own[id]! = own[id]! > 0 ? own[id]! / penalty : own[id]! * penalty;
  return own;
}

function likeliest(scores: Float32Array): number {
  let best = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id]! > scores[best]!) best = id;
  return best;
}

/** Ids and probabilities that are left to choose from; the likeliest first where they had to be sorted. */
interface Choice {
  readonly ids: readonly number[];
  readonly weights: Float64Array;
}

/** exp((score - top) / temperature) of all words. */
function weightsOf(scores: Float32Array, temperature: number): Float64Array {
  const top = scores[likeliest(scores)]!;
  const weights = new Float64Array(scores.length);
  for (let id = 0; id < scores.length; id++) weights[id] = Math.exp((scores[id]! - top) / temperature);
  return weights;
}

function idsAbove(weights: Float64Array, least: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < weights.length; id++) if (weights[id]! > 0 && weights[id]! >= least) ids.push(id);
  return ids;
}

/** Sum and number of the weights that are at least `least`. */
function totalAbove(weights: Float64Array, least: number): { readonly total: number; readonly count: number } {
  let [total, count] = [0, 0];
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id]!;
    if (weight === 0 || weight < least) continue;
    total += weight;
    count += 1;
  }
  return { total, count };
}

/** The words that minP, topK and topP leave, each of them looking at what the one before left. */
export function choices(
  scores: Float32Array,
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: SampleOptions,
): Choice {
  const all = weightsOf(scores, temperature);
  const weight = (id: number): number => all[id]!;
  const chosen = (ids: readonly number[]): Choice => ({ ids, weights: Float64Array.from(ids, weight) });
  if (topK === 0 && topP === 1) return chosen(idsAbove(all, minP));
  // Words below this share of the rest have together less than what topP leaves out: they need not be sorted.
  const { total, count } = totalAbove(all, minP);
  const least = topK > 0 ? minP : Math.max(minP, ((1 - topP) * total) / count);
  const sorted = idsAbove(all, least).sort((a, b) => weight(b) - weight(a) || a - b);
  const likely = topK > 0 ? sorted.slice(0, topK) : sorted;
  const wanted = topP * (topK > 0 ? likely.reduce((sum, id) => sum + weight(id), 0) : total);
  let reached = 0;
  const last = likely.findIndex((id) => {
    reached += weight(id);
    return topP < 1 && reached >= wanted;
  });
  return chosen(last >= 0 ? likely.slice(0, last + 1) : likely);
}

/** sampleWord: scores f32[V] -> the id of the next word. `seen`: ids that occurred; `banned` ones are never chosen. */
export function sampleWord(
  scores: Float32Array,
  options: SampleOptions,
  rng: Rng,
  { seen = [], banned = [] }: { readonly seen?: Iterable<number>; readonly banned?: Iterable<number> } = {},
): number {
  const own = penalised(scores, seen, options.repetitionPenalty ?? 1);
  for (const id of banned) own[id] = Number.NEGATIVE_INFINITY;
  if (options.temperature === 0) return likeliest(own);
  const { ids, weights } = choices(own, options);
  let left = rng.next() * weights.reduce((sum, weight) => sum + weight, 0);
  const chosen = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return ids[chosen] ?? ids.at(-1)!;
}

/** log(softmax(scores)) f32[V]. */
export function logProbabilities(scores: Float32Array): Float32Array {
  const top = scores[likeliest(scores)]!;
  const logSum = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
  return scores.map((score) => score - logSum);
}
