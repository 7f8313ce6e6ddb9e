import { ensure } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import { heaviest } from './select.ts';

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

/** What a model says of the next word. The sampler writes into the arrays. */
export interface WordScores {
  /** f32[V]. */
  readonly scores: Float32Array;
  /** Where the model's own graph has computed it for this temperature: exp((score - highest) / temperature) of each word, and their sum. */
  readonly weighed?: { readonly highest: number; readonly weights: Float32Array; readonly total: number };
}

export interface WordRules {
  /** Ids that occurred, for the penalty. */
  readonly seen?: ReadonlySet<number>;
  /** Ids that are never chosen. */
  readonly banned?: Iterable<number>;
  /** When given, no others are chosen. */
  readonly only?: ArrayLike<number>;
}

/** The highest of them, the first where there are several. */
function likeliest(scores: ArrayLike<number>): number {
  let best = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id]! > scores[best]!) best = id;
  return best;
}

/** exp((score - highest) / temperature) into `weights`; returns their sum. */
function weigh(scores: Float32Array, temperature: number, weights: Float32Array): number {
  const top = scores[likeliest(scores)]!;
  let total = 0;
  for (let id = 0; id < scores.length; id++) {
    weights[id] = Math.exp((scores[id]! - top) / temperature);
    total += weights[id]!;
  }
  return total;
}

function sumFrom(weights: Float32Array, least: number): number {
  let total = 0;
  for (let id = 0; id < weights.length; id++) if (weights[id]! >= least) total += weights[id]!;
  return total;
}

/** Chooses words of a vocabulary of `size`; its scratch memory is used again for every one. */
export class WordSampler {
  readonly #weights: Float32Array;
  /** Ids that are left to choose from. */
  readonly #ids: Int32Array;

  constructor(size: number) {
    this.#weights = new Float32Array(size);
    this.#ids = new Int32Array(size);
  }

  /** The id of the next word. */
  choose(row: WordScores, options: SampleOptions, rng: Rng, rules: WordRules = {}): number {
    const { temperature = 1, repetitionPenalty = 1 } = options;
    const { only, seen, banned = [] } = rules;
    const { scores } = row;
    const changed: number[] = [];
    if (repetitionPenalty !== 1 && seen !== undefined)
      for (const id of seen) {
        scores[id]! = scores[id]! > 0 ? scores[id]! / repetitionPenalty : scores[id]! * repetitionPenalty;
        changed.push(id);
      }
    if (only !== undefined)
      return only[this.#pick({ scores: Float32Array.from(only, (id) => scores[id]!) }, [], options, rng)]!;
    for (const id of banned) {
      scores[id] = Number.NEGATIVE_INFINITY;
      changed.push(id);
    }
    return temperature === 0 ? likeliest(scores) : this.#pick(row, changed, options, rng);
  }

  /** The words that minP, topK and topP leave, each of them looking at what the one before left, by rising id. */
  left({ scores }: WordScores, options: SampleOptions): Int32Array {
    const weights = this.#weights.subarray(0, scores.length);
    const total = weigh(scores, options.temperature ?? 1, weights);
    return this.#ids.slice(0, this.#keep(weights, total, options));
  }

  #pick(row: WordScores, changed: readonly number[], options: SampleOptions, rng: Rng): number {
    const { temperature = 1 } = options;
    if (temperature === 0) return likeliest(row.scores);
    const own = this.#weights.subarray(0, row.scores.length);
    const given = followed(row, changed, temperature);
    const [weights, total] = given ?? [own, weigh(row.scores, temperature, own)];
    const count = this.#keep(weights, total, options);
    let sum = 0;
    for (let i = 0; i < count; i++) sum += weights[this.#ids[i]!]!;
    let left = rng.next() * sum;
    for (let i = 0; i < count; i++) {
      left -= weights[this.#ids[i]!]!;
      if (left < 0) return this.#ids[i]!;
    }
    return this.#ids[count - 1]!;
  }

  /** Puts the ids that are left into the scratch memory, by rising id; returns their number. */
  #keep(weights: Float32Array, total: number, { topK = 0, topP = 1, minP = 0 }: SampleOptions): number {
    const least = minP > 0 ? minP * weights[likeliest(weights)]! : 0;
    const few = topK > 0 && topK < weights.length;
    // Words below this share of the rest have together less than what topP leaves out.
    const mass = least > 0 ? sumFrom(weights, least) : total;
    const rest = few ? 0 : ((1 - topP) * mass) / weights.length;
    const found = few ? this.#gatherBest(weights, least, topK) : this.#gather(weights, Math.max(least, rest));
    if (topP === 1) return found;
    let wanted = mass;
    if (few) {
      wanted = 0;
      for (let i = 0; i < found; i++) wanted += weights[this.#ids[i]!]!;
    }
    const kept = heaviest(this.#ids, weights, found, topP * wanted, true);
    this.#ids.subarray(0, kept).sort();
    return kept;
  }

  #gather(weights: Float32Array, least: number): number {
    const ids = this.#ids;
    let found = 0;
    for (let id = 0; id < weights.length; id++) {
      const weight = weights[id]!;
      if (weight >= least && weight > 0) ids[found++] = id;
    }
    return found;
  }

  /** The `count` heaviest: whenever twice as many have come together, the lighter half goes, and sets what the next ones must have. */
  #gatherBest(weights: Float32Array, least: number, count: number): number {
    const ids = this.#ids;
    const full = Math.min(ids.length, 2 * count + 64);
    let [found, above] = [0, 0];
    for (let id = 0; id < weights.length; id++) {
      const weight = weights[id]!;
      if (weight <= above || weight < least) continue;
      ids[found++] = id;
      if (found < full) continue;
      found = heaviest(ids, weights, found, count, false);
      above = lightest(ids, weights, found);
    }
    found = heaviest(ids, weights, found, count, false);
    ids.subarray(0, found).sort();
    return found;
  }
}

function lightest(ids: Int32Array, weights: Float32Array, count: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) least = Math.min(least, weights[ids[i]!]!);
  return least;
}

/**
 * The graph's weights with those of the `changed` scores brought up to date, and their sum. Undefined where there are none, or where so
 * much of the sum has changed that too few digits of it would be left: then all are weighed anew.
 */
function followed(
  { scores, weighed }: WordScores,
  changed: readonly number[],
  temperature: number,
): readonly [weights: Float32Array, total: number] | undefined {
  if (weighed === undefined) return undefined;
  const { highest, weights } = weighed;
  let total = weighed.total;
  for (const id of changed) {
    const weight = Math.exp((scores[id]! - highest) / temperature);
    total += weight - weights[id]!;
    weights[id] = weight;
  }
  return total > 0.1 * weighed.total && total < 10 * weighed.total ? [weights, total] : undefined;
}

/** log(softmax(scores)) f32[V]. */
export function logProbabilities(scores: Float32Array): Float32Array {
  const top = scores[likeliest(scores)]!;
  const logSum = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
  return scores.map((score) => score - logSum);
}
