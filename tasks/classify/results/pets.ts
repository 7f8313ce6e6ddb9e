import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { dynamicUnet } from '../../../models/dynamic-unet.ts';
import { benchOptions } from '../../../scripts/bench/options.ts';
import { dataFolder } from '../../../scripts/results/data.ts';
import { createDataLoaders, dataBlock } from '../../../training/data/block.node.ts';
import { pairedImage } from '../../../training/data/labellers.ts';
import type { BatchTransform } from '../../../training/data/plan.ts';
import { randomSplit } from '../../../training/data/split.ts';
import { noSplit } from '../../../training/data/splitters.ts';
import type { FileItem } from '../../../training/data/types.ts';
import { createLearner } from '../../../training/learner/learner.ts';
import { l1Loss } from '../../../training/nn/losses.ts';
import type { Weights } from '../../../training/nn/scope.ts';
import { listImages } from '../../../training/pictures/items.node.ts';
import { getTransforms } from '../../../training/pictures/transforms/augment.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { type ClassItem, type ClassifyData, inspectPhotos } from '../data.node.ts';
import { encoderOf } from '../net.ts';
import {
  type ClassifyRunConfig,
  type ClassifyRunResult,
  type ClassifyStart,
  classifyRunDefaults,
  runClassify,
} from '../recipe.node.ts';

/*
 * Cat or dog, on breeds that the net has never seen. The photos of sr/pets are in four folds, no breed in two of them; each fold is classified by a
 * net that was trained on the other three. The ways:
 *   plain     from random weights
 *   cutmix    the same, with CutMix
 *   breeds    first the breeds of the training photos, then cat or dog from that encoder
 *   restored  first a U-Net that gives grey photos with holes (of BSD and T91: no pets) their colours and contents back, then from its encoder
 *   node dist/tasks/classify/results/pets.js [WAY...] [--folds 0,1]
 * One line of JSON for each fold and each way. One thread.
 */

const foldCount = 4;

/** The part of a photo's name in front of its number; breeds of cats begin with a capital. */
const breedOf = ({ name }: Pick<ClassItem, 'name'>): string => name.replace(/_\d+\.\w+$/, '');
const kindOf = (breed: string): string => (/^[A-Z]/.test(breed) ? 'cat' : 'dog');

/** The fold of every breed: those of a kind are dealt out in turn, the ones with most photos first. */
function foldsOf(items: readonly ClassItem[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(breedOf(item), (counts.get(breedOf(item)) ?? 0) + 1);
  const byPhotos = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([breed]) => breed);
  return new Map(
    ['cat', 'dog'].flatMap((kind) =>
      byPhotos.filter((breed) => kindOf(breed) === kind).map((breed, i) => [breed, i % foldCount] as const),
    ),
  );
}

const small = { width: 64, height: 64 };
const config: ClassifyRunConfig = { ...classifyRunDefaults, stages: [{ epochs: 12, size: small }], validSize: small };
const open = (model: Uint8Array) => openSession(model, { threads: 1 });
const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** One run in a folder of its own below runs/pets. */
async function run(
  name: string,
  data: ClassifyData,
  settings: Partial<ClassifyRunConfig>,
  start?: ClassifyStart,
): Promise<ClassifyRunResult> {
  const out = join('runs', 'pets', name);
  await rm(out, { recursive: true, force: true });
  return runClassify({
    config: { ...config, ...settings },
    data,
    out,
    open,
    resume: false,
    ...(start === undefined ? {} : { start }),
  });
}

/** The encoder after telling the breeds of the training photos, those with photos enough. */
async function breedEncoder(name: string, { train }: ClassifyData): Promise<ClassifyStart> {
  const enough = train.filter((item) => train.filter((other) => breedOf(other) === breedOf(item)).length >= 6);
  const parts = randomSplit(
    enough.map((item) => ({ ...item, label: breedOf(item) })),
    0.08,
    1,
  );
  const classes = [...new Set(parts.train.map(({ label }) => label))].sort();
  const { weights } = await run(name, { classes, ...parts, problems: [] }, {});
  return { weights, head: false };
}

/** Grey, and a quarter of the picture in squares of 8 pixels gone. */
const spoil: BatchTransform<'image'> = {
  name: 'spoil',
  apply: (batch, rng) => {
    const { data, dims } = batch.x;
    const [count = 0, , height = 0, width = 0] = dims;
    const plane = height * width;
    for (let n = 0; n < count; n++) {
      const holes = Array.from({ length: plane / 64 }, () => rng.next() < 0.25);
      for (let i = 0; i < plane; i++) {
        const [x, y] = [i % width, Math.floor(i / width)];
        const at = 3 * n * plane + i;
        const grey = (data[at]! + data[at + plane]! + data[at + 2 * plane]!) / 3;
        const value = holes[Math.floor(y / 8) * (width / 8) + Math.floor(x / 8)] ? 0 : grey;
        for (let c = 0; c < 3; c++) data[at + c * plane] = value;
      }
    }
    return batch;
  },
};

/** The encoder of a U-Net that has learned to undo {@link spoil} on photos without pets. */
async function restoringEncoder(): Promise<ClassifyStart> {
  const folders = ['bsd200', 't91'].map((name) => join(dataFolder(), 'sr', name));
  const photos = (await Promise.all(folders.map(listImages))).flat();
  const block = dataBlock({
    get: (items: readonly FileItem[]) => items,
    split: noSplit(),
    label: pairedImage<FileItem>(({ path }) => path),
    size: small,
    transforms: getTransforms({ maxZoom: 1.5 }),
    normalise: 'imagenet',
    batchTransforms: [spoil],
    batchSize: 16,
  });
  const data = await createDataLoaders(block, photos, { seed: 1, cacheBytes: 2e8 });
  const encoder = encoderOf(config.model.encoder);
  const learner = await createLearner({
    model: (scope, x) => dynamicUnet(scope, x, encoder, { classes: 3, lastCross: false, norm: 'weight' }),
    loss: l1Loss,
    data: { train: data.train },
    open,
  });
  try {
    const rows = await learner.fitOneCycle(15, 3e-3);
    say(`restoring: loss ${rows[0]!.trainLoss.toFixed(3)} to ${rows.at(-1)!.trainLoss.toFixed(3)}`);
    const weights: Weights = new Map([...learner.weights].map(([name, values]) => [name, values.slice()]));
    return { weights, head: false };
  } finally {
    await learner.close();
    await data.close();
  }
}

/** Trains for one fold. */
type Way = (fold: number, data: ClassifyData) => Promise<ClassifyRunResult>;

let restoring: Promise<ClassifyStart> | undefined;
const ways: Readonly<Record<string, Way>> = {
  plain: (fold, data) => run(`plain-${fold}`, data, {}),
  cutmix: (fold, data) => run(`cutmix-${fold}`, data, { mix: 'cutmix' }),
  breeds: async (fold, data) =>
    run(
      `breeds-${fold}`,
      data,
      { stages: [{ epochs: 4, size: small }] },
      await breedEncoder(`breeds-${fold}-first`, data),
    ),
  restored: async (fold, data) => {
    restoring ??= restoringEncoder();
    return run(`restored-${fold}`, data, {}, await restoring);
  },
};

const { folds, rows: asks } = benchOptions({ folds: [...Array(foldCount).keys()].join() }, Object.keys(ways));
const photos = await listImages(join(dataFolder(), 'sr', 'pets'));
const { items } = await inspectPhotos(photos.map((photo) => ({ ...photo, label: kindOf(breedOf(photo)) })));
const foldOf = foldsOf(items);

const sums = new Map(asks.map((name) => [name, { right: 0, majority: 0, photos: 0 }]));
for (const fold of folds.split(',').map(Number)) {
  const isHeld = (item: ClassItem): boolean => foldOf.get(breedOf(item)) === fold;
  const [train, valid] = [items.filter((item) => !isHeld(item)), items.filter(isHeld)];
  for (const name of asks) {
    const startMs = performance.now();
    const result = await ways[name]!(fold, { classes: ['cat', 'dog'], train, valid, problems: [] });
    const sum = sums.get(name)!;
    sum.right += result.accuracy * valid.length;
    sum.majority += result.majority * valid.length;
    sum.photos += valid.length;
    const seconds = Math.round((performance.now() - startMs) / 1000);
    const { accuracy, report } = result;
    const recall = report.map((one) => Number(one.recall.toFixed(2)));
    const loss = result.rows.at(-1)!.trainLoss;
    process.stdout.write(
      `${JSON.stringify({ way: name, fold, photos: valid.length, accuracy, recall, loss, seconds })}\n`,
    );
  }
}
for (const [way, { right, majority, photos: all }] of sums)
  process.stdout.write(`${JSON.stringify({ way, photos: all, accuracy: right / all, majority: majority / all })}\n`);
