import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchOptions } from '../../../scripts/bench/options.ts';
import { dataFolder } from '../../../scripts/results/data.ts';
import { packageRoot } from '../../../server/store/paths.ts';
import { createRng } from '../../../training/core/rng.ts';
import type { Tensor } from '../../../training/core/tensor.ts';
import { overlayMask } from '../../../training/data/show.node.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { pictureCells } from '../../../training/report/cells.node.ts';
import { savePlot } from '../../../training/report/png.node.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { type MaskedItem, readSegmentFolder } from '../folder.node.ts';
import { classIds, segmentInput, segmentSize } from '../infer.ts';
import { type SegmentScore, scoreOf, scoreSegment } from '../score.node.ts';
import { colorScores } from './shapes-colors.ts';
import { shapeClasses, shapePicture, writeShapes } from './shapes-data.ts';

/*
 * `fettle retrain segment` on a task that nobody has weights for: a disc, a bar and a star on a photo, distinguished by their outlines
 * alone (shapes-data.ts). 40 pictures to train on, of which the command holds some out to choose its epoch by; 40 others, made of other
 * photos, are looked at here alone. Beside it what a pixel's colour and its neighbourhood's say (shapes-colors.ts).
 *   node dist/tasks/segment/results/shapes.js [--from segment@1|none] [--threads N] [--picture] [SEED ...]
 */

interface Run {
  readonly dir: string;
  readonly seconds: number;
}

/** Runs the command line as a user does. */
function retrain(folder: string, from: string, threads: string): Run {
  const cli = fileURLToPath(new URL('../../../scripts/fettle.js', import.meta.url));
  const files = `--data train --store store-${from} --out run-${from} --from ${from}`;
  const settings = `--any-way-up --any-colors --size 128 --device cpu --threads ${threads}`;
  const args = [cli, '--json', 'retrain', 'segment', ...`${files} ${settings}`.split(' ')];
  const started = performance.now();
  const out = execFileSync(process.execPath, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  const { dir } = JSON.parse(out) as { readonly dir: string };
  return { dir: join(folder, dir), seconds: (performance.now() - started) / 1000 };
}

const open = (model: Uint8Array) => openSession(model, { threads: 1 });
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const describe = ({ accuracy, meanIou, iou }: Pick<SegmentScore, 'accuracy' | 'meanIou' | 'iou'>): string =>
  `mean IoU ${percent(meanIou)} (${shapeClasses.map(({ name }, id) => `${name} ${percent(iou[id]!)}`).join(', ')}), accuracy ${percent(accuracy)}`;

async function itemsOf(folder: string): Promise<readonly MaskedItem[]> {
  const { train, valid } = await readSegmentFolder(folder);
  return [...train, ...valid];
}

async function measure(seed: number, from: string, threads: string): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), `fettle-shapes-${seed}-`));
  await writeShapes(join(dataFolder(), 'sr', 'bsd200'), folder, seed);
  const [known, unseen] = [await itemsOf(join(folder, 'train')), await itemsOf(join(folder, 'test'))];
  for (const [name, confusion] of await colorScores(known, unseen))
    process.stdout.write(`seed ${seed}, ${name}: ${describe(scoreOf(confusion))}\n`);
  const run = retrain(folder, from, threads);
  const { segment } = JSON.parse(await readFile(join(run.dir, 'config.json'), 'utf8'));
  const model = await readFile(join(run.dir, 'model.onnx'));
  const data = await readSegmentFolder(join(folder, 'test'));
  const score = await scoreSegment({ model, shortSide: segment.shortSide }, unseen, data, open);
  process.stdout.write(`seed ${seed}, from ${from}: ${describe(score)}, ${run.seconds.toFixed(0)} s in all\n`);
  return run;
}

/** docs/images/shapes.png: pictures made of free photos alone, with what they are and what the model predicts. */
async function drawPicture({ dir }: Run): Promise<void> {
  const names = [
    'gps_exif.jpg',
    'photo_lossy.webp',
    'photo_lossless.webp',
    'progressive.jpg',
    'interlaced.png',
    'cmyk_no_icc.jpg',
  ];
  const photos = await Promise.all(names.map((name) => decodeRgb(join(dataFolder(), 'photos', name))));
  const { segment } = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
  const session = await open(await readFile(join(dir, 'model.onnx')));
  const colorOf = (id: number): readonly number[] => shapeClasses[id]!.color;
  const cells = [];
  for (let i = 0; i < 4; i++) {
    const { photo, mask } = await shapePicture(photos, createRng('picture', i));
    const image = segmentInput(photo, segmentSize(photo, segment.shortSide));
    const { probabilities } = await session.run({ image });
    const said = classIds(probabilities as Tensor<'float32'>, photo);
    const right = mask.data.filter((id, k) => id === said.data[k]).length / mask.data.length;
    const images = [photo, overlayMask(photo, mask.data, { colorOf }), overlayMask(photo, said.data, { colorOf })];
    cells.push({ images, caption: `${percent(right)} right` });
  }
  await session.release();
  const legend = shapeClasses.map(({ name: text, color }) => ({ text, color }));
  const svg = await pictureCells(cells, { columns: 2, title: 'picture, mask, prediction', legend });
  const file = join(packageRoot, 'docs', 'images', 'shapes.png');
  await savePlot(svg, file);
  process.stdout.write(`${file}\n`);
}

const { from, threads, picture, rows: seeds } = benchOptions({ from: 'segment@1', threads: 2, picture: false });
let last: Run | undefined;
for (const seed of seeds.length > 0 ? seeds : [1, 2, 3]) last = await measure(Number(seed), from, String(threads));
if (picture) await drawPicture(last!);
