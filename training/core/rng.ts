/** A seeded stream of random numbers. The same seed gives the same numbers on every machine. */
export interface Rng {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
  /** Uniform integer in [low, high], both ends included. */
  int(low: number, high: number): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
  /** A new array with the items in random order (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[];
}

/** Seeds that are asked for are whole numbers 0..2^32-1: what is drawn, and what JSON and forms carry without loss. */
export const mostSeed = 2 ** 32 - 1;

/** Mixes integers (seed, epoch, item, ...) and strings into one 32-bit seed; order matters. murmur3's finaliser per word. */
export function mixSeed(...parts: readonly (number | string)[]): number {
  let hash = 0x9e3779b9;
  for (const part of parts) {
    const words =
      typeof part === 'number'
        ? [part | 0, Math.floor(part / 2 ** 32) | 0]
        : [...part].map((c) => c.codePointAt(0) ?? 0);
    for (const word of words) {
      hash = Math.imul(hash ^ word, 0x85ebca6b);
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
      hash = (hash ^ (hash >>> 16)) + 0x9e3779b9;
    }
  }
  return hash >>> 0;
}

/** Seeded generator (mulberry32: 32-bit state, full period 2^32). `parts` are mixed by {@link mixSeed}. */
export function createRng(...parts: readonly (number | string)[]): Rng {
  let state = mixSeed(...parts);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    int,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    shuffle: (items) => {
      const out = [...items];
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(0, i);
        [out[i], out[j]] = [out[j]!, out[i]!];
      }
      return out;
    },
  };
}
