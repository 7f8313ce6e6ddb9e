/*
 * The largest few of many weights without sorting all of them: quickselect (Hoare 1961), by number or by sum. Weights are in falling
 * order, equal ones by rising id, so that what is chosen does not depend on how it was searched.
 */

type Weights = Float32Array | Float64Array;

/** Whether word `a` comes before word `b`. */
const isBefore = (weights: Weights, a: number, b: number): boolean =>
  weights[a]! > weights[b]! || (weights[a]! === weights[b]! && a < b);

function swap(ids: Int32Array, a: number, b: number): void {
  const id = ids[a]!;
  ids[a] = ids[b]!;
  ids[b] = id;
}

/** The middle one of the first, middle and last of ids[low..high), at its end. */
function pivotToEnd(ids: Int32Array, weights: Weights, low: number, high: number): number {
  const [middle, last] = [(low + high) >> 1, high - 1];
  if (isBefore(weights, ids[middle]!, ids[low]!)) swap(ids, middle, low);
  if (isBefore(weights, ids[last]!, ids[low]!)) swap(ids, last, low);
  if (isBefore(weights, ids[middle]!, ids[last]!)) swap(ids, middle, last);
  return ids[last]!;
}

function sortRange(ids: Int32Array, weights: Weights, low: number, high: number): void {
  for (let i = low + 1; i < high; i++)
    for (let j = i; j > low && isBefore(weights, ids[j]!, ids[j - 1]!); j--) swap(ids, j, j - 1);
}

/** Shorter ranges are sorted by insertion. */
const few = 16;

/**
 * Puts the heaviest of ids[0..length) in front, as many as together have `target`: a number of words, or with `byWeight` a sum of weights.
 * Returns how many that are; all when they have less.
 */
export function heaviest(ids: Int32Array, weights: Weights, length: number, target: number, byWeight: boolean): number {
  let [low, high, left] = [0, length, target];
  while (high - low > few) {
    const pivot = pivotToEnd(ids, weights, low, high);
    let [split, sum] = [low, 0];
    for (let i = low; i < high - 1; i++) {
      const id = ids[i]!;
      if (!isBefore(weights, id, pivot)) continue;
      sum += byWeight ? weights[id]! : 1;
      ids[i] = ids[split]!;
      ids[split++] = id;
    }
    swap(ids, split, high - 1);
    if (sum >= left) high = split;
    else {
      left -= sum + (byWeight ? weights[pivot]! : 1);
      low = split + 1;
      if (left <= 0) return low;
    }
  }
  sortRange(ids, weights, low, high);
  for (let i = low; i < high; i++) {
    left -= byWeight ? weights[ids[i]!]! : 1;
    if (left <= 0) return i + 1;
  }
  return high;
}
