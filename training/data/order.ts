import { createRng } from '../core/rng.ts';

/** Which item a sample shows, and how many times the epoch has shown it before. */
export interface Draw {
  readonly item: number;
  readonly round: number;
}

/**
 * epochOrder: the `draws` samples of an epoch over `count` items. Every item comes once before any comes again; each
 * round is shuffled anew by (seed, epoch, round), so an epoch can be repeated or entered in its middle.
 */
export function epochOrder(count: number, draws: number, seed: number, epoch: number): Draw[] {
  const indices = Array.from({ length: count }, (_, i) => i);
  const order: Draw[] = [];
  for (let round = 0; order.length < draws; round++) {
    const shuffled = createRng(seed, 'order', epoch, round).shuffle(indices);
    for (const item of shuffled.slice(0, draws - order.length)) order.push({ item, round });
  }
  return order;
}
