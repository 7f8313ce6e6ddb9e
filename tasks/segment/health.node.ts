import { messageOf } from '../../training/core/errors.ts';
import type { Image } from '../../training/core/image.ts';
import { readHeader } from '../../training/pictures/decode.node.ts';
import { readMask } from '../../training/pictures/masks/mask-file.node.ts';
import type { MaskForm } from '../../training/pictures/masks/mask-form.ts';
import type { MaskedItem, SegmentData } from './folder.node.ts';

/** What is wrong with one pair. */
export interface PairProblem {
  readonly name: string;
  readonly reason: string;
}

/** What a look at every pair found. */
export interface SegmentHealth {
  /** Pixels of each class, and void ones. */
  readonly pixels: readonly number[];
  readonly voidPixels: number;
  /** Pairs that cannot be used. */
  readonly problems: readonly PairProblem[];
}

/** Pixels of each id 0..255. */
function countIds({ data, channels }: Image): Float64Array {
  const counts = new Float64Array(256);
  for (let i = 0; i < data.length; i += channels) counts[data[i]!]! += 1;
  return counts;
}

/** Counts of one pair's mask; throws where it cannot be used. */
async function readPair(
  { path, mask }: MaskedItem,
  allowed: ReadonlySet<number>,
  form: MaskForm | undefined,
): Promise<Float64Array> {
  const [size, ids] = [await readHeader(path), await readMask(mask, form)];
  if (size.width !== ids.width || size.height !== ids.height)
    throw new Error(`photo ${size.width}x${size.height}, mask ${ids.width}x${ids.height}`);
  const counts = countIds(ids);
  const unknown = [...counts.keys()].filter((id) => counts[id]! > 0 && !allowed.has(id));
  if (unknown.length > 0) throw new Error(`unknown ids ${unknown.join(', ')}`);
  return counts;
}

/** checkPairs: reads the size of every photo and all of every mask. */
export async function checkPairs(
  items: readonly MaskedItem[],
  { classes, voidId, maskForm }: Pick<SegmentData, 'classes' | 'voidId'> & Partial<Pick<SegmentData, 'maskForm'>>,
): Promise<SegmentHealth> {
  const allowed = new Set([...classes.keys(), voidId]);
  const total = new Float64Array(256);
  const problems: PairProblem[] = [];
  for (const item of items) {
    try {
      (await readPair(item, allowed, maskForm)).forEach((count, id) => {
        total[id]! += count;
      });
    } catch (error) {
      problems.push({ name: item.name, reason: messageOf(error) });
    }
  }
  return { pixels: classes.map((_, id) => total[id]!), voidPixels: total[voidId]!, problems };
}
