import { join } from 'node:path';
import { dataFolder } from '../../../scripts/results/data.ts';
import { type RunFiles, readRunFiles } from '../../../scripts/results/run-files.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { readSegmentFolder, type SegmentData } from '../folder.node.ts';
import { exportSegment } from '../net.ts';
import type { SegmentRunConfig } from '../recipe.node.ts';
import { type SegmentScore, scoreSegment } from '../score.node.ts';
import { shipSegment } from './ship.ts';

/*
 * Accuracy (void masked), mean IoU and IoU of each class of a run of `fettle train segment` on CamVid, against the masks at their own
 * size, 480 x 360. The size at which pictures go through the net is chosen on the validation part; the test part is measured
 * at that size and decides nothing.
 *   node dist/tasks/segment/results/camvid.js [RUN_FOLDER ...] [--ship]
 * Of several runs, each of which started from the one before, the last is measured. --ship puts its model into models/zoo/segment/1.
 */

const shortSides = [192, 240, 288] as const;

export type SegmentRun = RunFiles<{ readonly config: SegmentRunConfig }>;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function describe(part: string, { shortSide, accuracy, meanIou, pictures, secondsPerPicture }: SegmentScore): string {
  return `${part}, short side ${shortSide}: accuracy ${percent(accuracy)}, mean IoU ${percent(meanIou)} over ${pictures} pictures, ${secondsPerPicture.toFixed(3)} s each`;
}

async function measure(run: SegmentRun, data: SegmentData): Promise<readonly [SegmentScore, SegmentScore]> {
  const facts = { classes: data.classes, shortSide: 0 };
  const { model } = exportSegment({ ...run.run.config.model, classes: data.classes.length }, run.weights, facts);
  const open = (bytes: Uint8Array) => openSession(bytes, { threads: 1 });
  const scores: SegmentScore[] = [];
  for (const shortSide of shortSides) {
    scores.push(await scoreSegment({ model, shortSide }, data.valid, data, open));
    process.stdout.write(`${describe('val', scores.at(-1)!)}\n`);
  }
  const valid = scores.toSorted((a, b) => b.meanIou - a.meanIou)[0]!;
  const test = await scoreSegment({ model, shortSide: valid.shortSide }, data.test, data, open);
  process.stdout.write(`${describe('test', test)}\n`);
  return [valid, test];
}

const options = process.argv.slice(2);
const folders = options.filter((option) => !option.startsWith('--'));
const data = await readSegmentFolder(join(dataFolder(), 'camvid'));
const runs = await Promise.all(
  (folders.length === 0 ? ['runs/segment'] : folders).map((folder) => readRunFiles<SegmentRun['run']>(folder)),
);
const run = runs.at(-1)!;
process.stdout.write(
  `epoch ${run.best.epoch} of ${run.rows.length}, mean IoU while training ${percent(run.best.metrics.iou!)}\n`,
);
const [valid, test] = await measure(run, data);
for (const [id, { name }] of data.classes.entries())
  process.stdout.write(`${name.padEnd(12)} val ${percent(valid.iou[id]!)}, test ${percent(test.iou[id]!)}\n`);
if (options.includes('--ship')) await shipSegment(runs, data, valid, test);
