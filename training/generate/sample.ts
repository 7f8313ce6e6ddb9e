import { ensure } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import { heaviest } from './select.ts';

/** How the next word is chosen from the scores of all words. */
export interface SampleOptions {
  /** Scores are divided by it: below 1 likely words become more likely; 0 takes the most likely. 1 by default. */
  readonly temperature?: number;
  /** Only the k most likely words; all when 0 or omitted. */
  readonly topK?: number;
  /** Only the most likely words that together have this probability, in (0, 1] (Holtzman et al. 2020); 1 by default. */
  readonly topP?: number;
  /** Only words that have this share of the most likely one's probability, in [0, 1]; 0 by default. */
  readonly minP?: number;
  /** Positive scores of words that occurred are divided by it, negative ones multiplied (Keskar et al. 2019); 1 by default. */
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

/** What a model predicts for the next word. The sampler writes into the arrays. */
export interface WordScores {
  /** f32[V]. */
  readonly scores: Float32Array;
  /** softmax(scores / temperature) f32[V], where the model's own graph has computed it for this temperature. */
  readonly probabilities?: Float32Array;
}

export interface WordRules {
  /** Ids that occurred, for the penalty. */
  readonly seen?: ReadonlySet<number>;
  /** Ids that are never chosen. */
  readonly banned?: Iterable<number>;
  /** When given, no others are chosen. */
  readonly only?: ArrayLike<number>;
}

/*
 * Vocabularies are long and words that matter few: the loops below look at eight words at a time and continue where none of them matters. That is twice
 * as fast as one by one.
 */

/** Whether any of eight words from `id` on has at least `least`. */
const someOfEight = (x: Float32Array, id: number, least: number): boolean =>
  x[id]! >= least ||
  x[id + 1]! >= least ||
  x[id + 2]! >= least ||
  x[id + 3]! >= least ||
  x[id + 4]! >= least ||
  x[id + 5]! >= least ||
  x[id + 6]! >= least ||
  x[id + 7]! >= least;

/** The highest of them, the first where there are several. */
function likeliest(scores: Float32Array): number {
  let [best, top] = [0, scores[0]!];
  for (let from = 0; from < scores.length; from += 8) {
    if (from + 8 <= scores.length && !someOfEight(scores, from, top)) continue;
    for (let id = from; id < Math.min(from + 8, scores.length); id++) {
      if (!(scores[id]! > top)) continue;
      top = scores[id]!;
      best = id;
    }
  }
  return best;
}

/** Ids of the weights that are at least `least` > 0, by rising id; returns their number. */
function gather(weights: Float32Array, least: number, ids: Int32Array): number {
  let found = 0;
  for (let from = 0; from < weights.length; from += 8) {
    if (from + 8 <= weights.length && !someOfEight(weights, from, least)) continue;
    for (let id = from; id < Math.min(from + 8, weights.length); id++) if (weights[id]! >= least) ids[found++] = id;
  }
  return found;
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

/** Scores that are changed after the graph has made probabilities of them: these follow, and are then only proportional to probabilities. */
class Changes {
  readonly #row: WordScores;
  readonly #temperature: number;
  #total = 1;
  #lost = false;

  constructor(row: WordScores, temperature: number) {
    [this.#row, this.#temperature] = [row, temperature];
  }

  set(id: number, score: number): void {
    const { scores, probabilities } = this.#row;
    const before = scores[id]!;
    scores[id] = score;
    if (probabilities === undefined) return;
    const weight = probabilities[id]!;
    const after = score === before ? weight : weight * Math.exp((scores[id]! - before) / this.#temperature);
    // A word too rare for an f32 that becomes more likely.
    if (weight < 1e-30 && score > before) this.#lost = true;
    probabilities[id] = after;
    // What is stored, so that a word that is made likely and then banned takes away what it brought; past 1e6 too few digits of the others are left.
    this.#total += probabilities[id]! - weight;
    if (!(this.#total < 1e6)) this.#lost = true;
  }

  /** Sum of the probabilities; undefined where so much has changed that too few digits of it would be left. */
  get total(): number | undefined {
    return !this.#lost && this.#total > 0.1 && this.#total < 10 ? this.#total : undefined;
  }
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
    const change = new Changes(row, temperature || 1);
    if (repetitionPenalty !== 1 && seen !== undefined)
      for (const id of seen) {
        const score = scores[id]!;
        change.set(id, score > 0 ? score / repetitionPenalty : score * repetitionPenalty);
      }
    if (only !== undefined) {
      const few = { scores: Float32Array.from(only, (id) => scores[id]!) };
      return only[this.#pick(few, new Changes(few, temperature), options, rng)]!;
    }
    for (const id of banned) change.set(id, Number.NEGATIVE_INFINITY);
    return this.#pick(row, change, options, rng);
  }

  /** The words that minP, topK and topP leave, each of them looking at what the one before left, by rising id. */
  left({ scores }: WordScores, options: SampleOptions): Int32Array {
    const weights = this.#weights.subarray(0, scores.length);
    const total = weigh(scores, options.temperature ?? 1, weights);
    return this.#ids.slice(0, this.#keep(weights, total, options));
  }

  #pick({ scores, probabilities }: WordScores, change: Changes, options: SampleOptions, rng: Rng): number {
    const { temperature = 1 } = options;
    if (temperature === 0) return likeliest(scores);
    const given = change.total !== undefined ? probabilities : undefined;
    const weights = given ?? this.#weights.subarray(0, scores.length);
    const total = (given && change.total) ?? weigh(scores, temperature, weights);
    const { topK = 0, topP = 1, minP = 0 } = options;
    if (topK === 0 && topP === 1 && minP === 0) return drawn(weights, rng.next() * total);
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
    // Words below this share of the rest have together less than what topP omits.
    const mass = least > 0 ? sumFrom(weights, least) : total;
    const rest = few ? 0 : ((1 - topP) * mass) / weights.length;
    const found = few
      ? this.#gatherBest(weights, least, topK)
      : gather(weights, Math.max(least, rest, Number.MIN_VALUE), this.#ids);
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

  /** The `count` heaviest: whenever twice as many have come together, the lighter half goes, and sets what the next ones must have. */
  #gatherBest(weights: Float32Array, least: number, count: number): number {
    const ids = this.#ids;
    const full = Math.min(ids.length, 2 * count + 64);
    let [found, above] = [0, Math.max(least, Number.MIN_VALUE)];
    // Once some have gone, an equally heavy word comes too late.
    let equal = true;
    for (let from = 0; from < weights.length; from += 8) {
      if (from + 8 <= weights.length && !someOfEight(weights, from, above)) continue;
      for (let id = from; id < Math.min(from + 8, weights.length); id++) {
        const weight = weights[id]!;
        if (weight < above || (weight === above && !equal)) continue;
        ids[found++] = id;
        if (found < full) continue;
        found = heaviest(ids, weights, found, count, false);
        above = lightest(ids, weights, found);
        equal = false;
      }
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

/** The word at which the sum of the weights passes `at`; the most likely where rounding leaves it beyond all of them. */
function drawn(weights: Float32Array, at: number): number {
  let left = at;
  for (let id = 0; id < weights.length; id++) {
    left -= weights[id]!;
    if (left < 0) return id;
  }
  return likeliest(weights);
}

/** log(softmax(scores)) f32[V]. */
export function logProbabilities(scores: Float32Array): Float32Array {
  const top = scores[likeliest(scores)]!;
  const logSum = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
  return scores.map((score) => score - logSum);
}
