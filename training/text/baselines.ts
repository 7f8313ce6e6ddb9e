import { createRng } from '../core/rng.ts';
import { type LabelledText, noLabel, type TaggedText } from './labelled.ts';

/* What tasks on texts are held against: models that know which words there are, and not where. */

/** Predicts the class of a text, by its place in 0..K-1. */
export type TextGuess = (ids: Int32Array) => number;

const largest = (values: ArrayLike<number>): number => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
};

export interface BagOptions {
  readonly classes: number;
  /** V: words of the vocabulary. */
  readonly words: number;
}

/**
 * naiveBayes: the class with the highest p(class) times the product of p(word | class) over the words of the text; `smoothing` (1) is added to
 * every count.
 */
export function naiveBayes(
  texts: readonly LabelledText[],
  { classes, words, smoothing = 1 }: BagOptions & { readonly smoothing?: number },
): TextGuess {
  const counts = Array.from({ length: classes }, () => new Float64Array(words).fill(smoothing));
  const priors = new Float64Array(classes).fill(smoothing);
  for (const { ids, label } of texts) {
    priors[label]! += 1;
    for (const id of ids) counts[label]![id]! += 1;
  }
  const logP = counts.map((row) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.map((count) => Math.log(count / total));
  });
  return (ids) =>
    largest(Array.from(priors, (prior, k) => ids.reduce((sum, id) => sum + logP[k]![id]!, Math.log(prior))));
}

export interface LogisticOptions extends BagOptions {
  /** Skips the texts; 30 by default. */
  readonly epochs?: number;
  /** Strength of the penalty on squared weights, per text; 1e-4 by default. */
  readonly l2?: number;
  /** 1 by default. */
  readonly seed?: number;
}

/** The words of a text, each once, as a vector of length 1: value of each. */
function bagOf(ids: Int32Array): { readonly bag: readonly number[]; readonly value: number } {
  const bag = [...new Set(ids)];
  return { bag, value: 1 / Math.sqrt(Math.max(1, bag.length)) };
}

/** logisticRegression: softmax of a linear function of which words there are, trained by AdaGrad (Duchi et al. 2011). */
export function logisticRegression(texts: readonly LabelledText[], options: LogisticOptions): TextGuess {
  const { classes, words, epochs = 30, l2 = 1e-4, seed = 1 } = options;
  const weights = Array.from({ length: classes }, () => new Float64Array(words + 1));
  const squares = weights.map((row) => new Float64Array(row.length).fill(1e-8));
  const bags = texts.map(({ ids, label }) => ({ ...bagOf(ids), label }));
  const scoresOf = (bag: readonly number[], value: number): number[] =>
    weights.map((row) => bag.reduce((sum, id) => sum + row[id]! * value, row[words]!));
  const move = (k: number, id: number, gradient: number): void => {
    const whole = gradient + l2 * weights[k]![id]!;
    squares[k]![id]! += whole * whole;
    weights[k]![id]! -= (0.5 * whole) / Math.sqrt(squares[k]![id]!);
  };
  const learn = ({ bag, value, label }: (typeof bags)[number]): void => {
    const scores = scoresOf(bag, value);
    const top = Math.max(...scores);
    const exps = scores.map((score) => Math.exp(score - top));
    const total = exps.reduce((sum, one) => sum + one, 0);
    for (const [k, one] of exps.entries()) {
      const error = one / total - (k === label ? 1 : 0);
      for (const id of bag) move(k, id, error * value);
      move(k, words, error);
    }
  };
  for (let epoch = 0; epoch < epochs; epoch++) for (const text of createRng(seed, epoch).shuffle(bags)) learn(text);
  return (ids) => {
    const { bag, value } = bagOf(ids);
    return largest(scoresOf(bag, value));
  };
}

/** frequentTags: the label that each word has most often, of words that never had one that of most words. `labels`: how many there are. */
export function frequentTags(texts: readonly TaggedText[], labels: number): (id: number) => number {
  const all = new Float64Array(labels);
  const perWord = new Map<number, Float64Array>();
  for (const { ids, labels: tags } of texts)
    for (const [i, tag] of tags.entries()) {
      if (tag === noLabel) continue;
      const counts = perWord.get(ids[i]!) ?? new Float64Array(labels);
      perWord.set(ids[i]!, counts);
      counts[tag]! += 1;
      all[tag]! += 1;
    }
  const usual = largest(all);
  const best = new Map([...perWord].map(([id, counts]) => [id, largest(counts)]));
  return (id) => best.get(id) ?? usual;
}
