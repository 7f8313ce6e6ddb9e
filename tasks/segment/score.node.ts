import type { Confusion } from '../../training/learner/metrics.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { readMask } from '../../training/pictures/masks/mask-file.node.ts';
import type { MaskedItem, SegmentData } from './folder.node.ts';
import { classIds, segmentInput, segmentSize } from './infer.ts';

/** How well a model that serves does on photos with masks, as it serves: at its own size, against the masks at theirs. */
export interface SegmentScore {
  readonly shortSide: number;
  /** Share of the pixels that are right, void ones omitted. */
  readonly accuracy: number;
  /** Mean over the classes that occur. */
  readonly meanIou: number;
  /** Of each class, by id; NaN for one that neither the masks have nor the model predicts. */
  readonly iou: readonly number[];
  /** Labelled (row) and predicted. */
  readonly confusion: Confusion;
  readonly pictures: number;
  readonly secondsPerPicture: number;
}

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};

/** scoreOf: accuracy, IoU of each class (hits / (labelled + predicted - hits)) and its mean over those that occur, from the counts. */
export function scoreOf({ classes, counts }: Confusion): Pick<SegmentScore, 'accuracy' | 'meanIou' | 'iou'> {
  const ids = Array.from({ length: classes }, (_, id) => id);
  const at = (label: number, said: number): number => counts[label * classes + said]!;
  const iou = ids.map((id) => {
    const [labelled, said] = [sum(ids.map((other) => at(id, other))), sum(ids.map((other) => at(other, id)))];
    return at(id, id) / (labelled + said - at(id, id));
  });
  const present = iou.filter((value) => !Number.isNaN(value));
  return { accuracy: sum(ids.map((id) => at(id, id))) / sum(counts), meanIou: sum(present) / present.length, iou };
}

/** The exported model and how it is fed. */
export interface ServedSegment {
  readonly model: Uint8Array;
  readonly shortSide: number;
}

/** scoreSegment: runs an exported model over photos as the server does, and compares with their masks. */
export async function scoreSegment(
  { model, shortSide }: ServedSegment,
  items: readonly MaskedItem[],
  { classes, voidId, maskForm }: Pick<SegmentData, 'classes' | 'voidId' | 'maskForm'>,
  open: OpenGraph,
): Promise<SegmentScore> {
  const confusion: Confusion = { classes: classes.length, counts: new Float64Array(classes.length ** 2) };
  const session = await open(model);
  let seconds = 0;
  try {
    for (const { path, mask } of items) {
      const [photo, truth] = [await decodeRgb(path), await readMask(mask, maskForm)];
      const started = performance.now();
      const image = segmentInput(photo, segmentSize(photo, shortSide));
      const { probabilities } = await session.run({ image });
      const { data } = classIds(probabilities as Parameters<typeof classIds>[0], truth);
      seconds += (performance.now() - started) / 1000;
      for (const [i, label] of truth.data.entries())
        if (label !== voidId) confusion.counts[label * classes.length + data[i]!]! += 1;
    }
  } finally {
    await session.release();
  }
  const pictures = items.length;
  return { shortSide, ...scoreOf(confusion), confusion, pictures, secondsPerPicture: seconds / pictures };
}
