import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportSegment } from '../../training/apps/segment.ts';
import type { SegmentRunConfig } from '../../training/apps/segment-run.node.ts';
import { decodeRgb } from '../../training/data/image-io.node.ts';
import { classIds, segmentInput, segmentSize } from '../../training/data/masks.ts';
import { type MaskedItem, readSegmentFolder, type SegmentData } from '../../training/data/segment/folder.node.ts';
import { decodeMask } from '../../training/data/segment/mask-file.node.ts';
import { checkpointFiles } from '../../training/learner/checkpoint.node.ts';
import type { Confusion } from '../../training/learner/metrics.ts';
import type { EpochRow, Progress } from '../../training/learner/recorder.ts';
import { decodeSafetensors } from '../../training/learner/safetensors.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session } from '../../training/run/session.ts';
import { dataFolder } from './data.ts';
import { shipSegment } from './ship-segment.ts';

/*
 * Accuracy (void masked), mean IoU and IoU of each class of a run of `fettle train segment` on CamVid, against the masks at their own
 * size, 480 x 360. The size at which pictures go through the net is chosen on the validation part; the test part is measured
 * at that size and decides nothing.
 *   node dist/scripts/results/segment.js [RUN_FOLDER] [--ship]
 * --ship puts the model into models/zoo/segment/1.
 */

const shortSides = [192, 240, 288] as const;

/** What a run's files say. */
export interface SegmentRun {
  readonly config: SegmentRunConfig;
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly best: EpochRow;
  readonly rows: readonly EpochRow[];
}

async function readRun(folder: string): Promise<SegmentRun> {
  const latest = decodeSafetensors(await readFile(join(folder, checkpointFiles.latest)));
  const best = decodeSafetensors(await readFile(join(folder, checkpointFiles.best)));
  const { config } = JSON.parse(latest.metadata.run ?? '') as { readonly config: SegmentRunConfig };
  const { rows } = JSON.parse(latest.metadata.progress ?? '') as Progress;
  return {
    config,
    rows,
    best: rows[Number(best.metadata.epoch)]!,
    weights: new Map([...best.tensors].map(([name, { data }]) => [name, data as Float32Array])),
  };
}

/** Numbers of one part at one size. */
export interface SegmentScore {
  readonly shortSide: number;
  readonly accuracy: number;
  readonly meanIou: number;
  /** Of each class, by id. */
  readonly iou: readonly number[];
  readonly pictures: number;
  readonly secondsPerPicture: number;
}

function scoreOf({ classes, counts }: Confusion): Pick<SegmentScore, 'accuracy' | 'meanIou' | 'iou'> {
  const ids = Array.from({ length: classes }, (_, id) => id);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const at = (label: number, said: number): number => counts[label * classes + said]!;
  const iou = ids.map((id) => {
    const union = sum(ids.map((other) => at(id, other))) + sum(ids.map((other) => at(other, id))) - at(id, id);
    return at(id, id) / union;
  });
  return { accuracy: sum(ids.map((id) => at(id, id))) / sum([...counts]), meanIou: sum(iou) / classes, iou };
}

async function score(
  session: Session,
  items: readonly MaskedItem[],
  { classes, voidId }: SegmentData,
  shortSide: number,
): Promise<SegmentScore> {
  const confusion: Confusion = { classes: classes.length, counts: new Float64Array(classes.length ** 2) };
  let seconds = 0;
  for (const { path, mask } of items) {
    const [photo, truth] = [await decodeRgb(path), await decodeMask(mask)];
    const started = performance.now();
    const image = segmentInput(photo, segmentSize(photo, shortSide));
    const { probabilities } = await session.run({ image });
    const { data } = classIds(probabilities as Parameters<typeof classIds>[0], truth);
    seconds += (performance.now() - started) / 1000;
    for (const [i, label] of truth.data.entries())
      if (label !== voidId) confusion.counts[label * classes.length + data[i]!]! += 1;
  }
  return { shortSide, ...scoreOf(confusion), pictures: items.length, secondsPerPicture: seconds / items.length };
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function describe(part: string, { shortSide, accuracy, meanIou, pictures, secondsPerPicture }: SegmentScore): string {
  return `${part}, short side ${shortSide}: accuracy ${percent(accuracy)}, mean IoU ${percent(meanIou)} over ${pictures} pictures, ${secondsPerPicture.toFixed(3)} s each`;
}

async function measure(run: SegmentRun, data: SegmentData): Promise<readonly [SegmentScore, SegmentScore]> {
  const facts = { classes: data.classes, shortSide: 0 };
  const { model } = exportSegment({ ...run.config.model, classes: data.classes.length }, run.weights, facts);
  const session = await openSession(model, { threads: 1 });
  try {
    const scores: SegmentScore[] = [];
    for (const shortSide of shortSides) {
      scores.push(await score(session, data.valid, data, shortSide));
      process.stdout.write(`${describe('val', scores.at(-1)!)}\n`);
    }
    const valid = scores.toSorted((a, b) => b.meanIou - a.meanIou)[0]!;
    const test = await score(session, data.test, data, valid.shortSide);
    process.stdout.write(`${describe('test', test)}\n`);
    return [valid, test];
  } finally {
    await session.release();
  }
}

const [folder = 'runs/segment', ...flags] = process.argv.slice(2);
const data = await readSegmentFolder(join(dataFolder(), 'camvid'));
const run = await readRun(folder);
process.stdout.write(
  `epoch ${run.best.epoch} of ${run.rows.length}, mean IoU while training ${percent(run.best.metrics.iou!)}\n`,
);
const [valid, test] = await measure(run, data);
for (const [id, { name }] of data.classes.entries())
  process.stdout.write(`${name.padEnd(12)} val ${percent(valid.iou[id]!)}, test ${percent(test.iou[id]!)}\n`);
if (flags.includes('--ship')) await shipSegment(run, data, valid, test);
