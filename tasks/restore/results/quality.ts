import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { benchOptions } from '../../../scripts/bench/options.ts';
import { dataFolder } from '../../../scripts/results/data.ts';
import {
  createPicturePool,
  keyOf,
  type PicturePool,
  pictureModel,
  runPicture,
} from '../../../server/serve/pictures.ts';
import { storeDirOf, zooDir } from '../../../server/store/paths.ts';
import { type ModelVersion, openStore } from '../../../server/store/store.ts';
import type { Image } from '../../../training/core/image.ts';
import { randomSplit } from '../../../training/data/split.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { imageGrid } from '../../../training/pictures/grid.ts';
import { encodePng } from '../../../training/pictures/image-io.node.ts';
import { type ImageItem, listImages } from '../../../training/pictures/items.node.ts';
import { psnr, ssim } from '../../../training/pictures/quality.ts';
import { imageOfPlanes, type Scale, sampleWindow } from '../../../training/pictures/transforms/pixels.ts';
import { restoreContract } from '../contract.ts';
import { validationPair } from '../held-out.node.ts';
import { restoreRunDefaults } from '../recipe.node.ts';
import { restoreTask } from '../serve.node.ts';

/*
 * The numbers of a restoration model, through the path that the server and the command line use (PNG in, PNG out).
 *   node dist/tasks/restore/results/quality.js [--model restore@1] [--out runs/results-restore]
 * Protocol: target = photo at 192 px short side, damaged = the lesson's damage (seed 7), against the damaged picture
 * enlarged bilinearly. Data below $FETTLE_DATA: sr/set14, and the pictures of sr/pets that training held out (seed 1).
 */

async function openModel(reference: string): Promise<{ readonly pool: PicturePool; readonly version: ModelVersion }> {
  const store = openStore({ zooDir, storeDir: storeDirOf() });
  const version = await store.resolve(reference);
  const pool = createPicturePool({
    device: 'cpu',
    workers: 1,
    log: { warn: (details, message) => console.warn(message, details) },
  });
  await pool.load(pictureModel(restoreContract, version, await store.read(version, 'model.onnx')));
  return { pool, version };
}

/** Enlarged bilinearly, 8 bit. */
function enlarge(image: Image, scale: Scale): Image {
  const size = { width: image.width * scale, height: image.height * scale };
  return imageOfPlanes(sampleWindow(image, scale, { x: 0, y: 0, ...size }), size);
}

/** Positions whose pixel differs much between the picture with a white number and the same with a black one. */
function numberMask(white: Image, black: Image): boolean[] {
  return Array.from(
    { length: white.width * white.height },
    (_, i) => Math.abs(white.data[3 * i]! - black.data[3 * i]!) > 48,
  );
}

/** Mean squared error over the pixels of the mask. */
function maskedError(a: Image, b: Image, mask: readonly boolean[]): number {
  let [sum, count] = [0, 0];
  for (const [i, inside] of mask.entries()) {
    if (!inside) continue;
    for (let c = 0; c < 3; c++) sum += (a.data[3 * i + c]! - b.data[3 * i + c]!) ** 2;
    count += 3;
  }
  return count === 0 ? Number.NaN : sum / count;
}

type Row = Readonly<Record<string, number>>;
interface Scored {
  readonly row: Row;
  readonly pictures: readonly Image[];
}

interface Sources {
  readonly target: Image;
  readonly damaged: Image;
  readonly blackNumber: Image;
}

async function score(
  { target, damaged, blackNumber }: Sources,
  restore: (image: Image, scale: Scale) => Promise<Image>,
): Promise<Scored> {
  const bilinear = enlarge(damaged, 2);
  const [twice, once, alone] = [await restore(damaged, 2), await restore(bilinear, 1), await restore(target, 1)];
  const mask = numberMask(bilinear, enlarge(blackNumber, 2));
  const row = {
    bilinearPsnr: psnr(bilinear, target),
    scale2Psnr: psnr(twice, target),
    scale1Psnr: psnr(once, target),
    bilinearSsim: ssim(bilinear, target),
    scale2Ssim: ssim(twice, target),
    scale1Ssim: ssim(once, target),
    numberMseBefore: maskedError(bilinear, target, mask),
    numberMseAfter: maskedError(twice, target, mask),
    undamagedPsnr: Math.min(psnr(alone, target), 100),
  };
  return { row, pictures: [bilinear, twice, target] };
}

const mean = (rows: readonly Row[], key: string): number => {
  const values = rows.map((row) => row[key]!).filter((value) => !Number.isNaN(value));
  return values.reduce((sum, value) => sum + value, 0) / values.length;
};

async function measure(
  items: readonly ImageItem[],
  restore: (image: Image, scale: Scale) => Promise<Image>,
): Promise<readonly Scored[]> {
  const settings = { shortSide: 192, seed: 7 };
  const results: Scored[] = [];
  for (const item of items) {
    const black = await validationPair(item, { ...settings, damage: 'lesson:white=0' });
    const pair = await validationPair(item, { ...settings, damage: 'lesson' });
    results.push(await score({ ...pair, blackNumber: black.damaged }, restore));
  }
  return results;
}

async function main(): Promise<void> {
  const data = dataFolder();
  const { model, out } = benchOptions({ model: 'restore@1', out: 'runs/results-restore' }, []);
  await mkdir(out, { recursive: true });
  const { pool, version } = await openModel(model);
  const restore = async (image: Image, scale: Scale): Promise<Image> => {
    const query = { scale, format: 'png', quality: 90, metadata: 'strip' } as const;
    const { result } = await runPicture(pool, restoreTask, () => version, {
      files: { image: await encodePng(image) },
      query,
    });
    return decodeRgb(result.file);
  };
  const { validShare, seed } = restoreRunDefaults;
  const pets = randomSplit(await listImages(join(data, 'sr/pets')), validShare, seed).valid;
  const sets = { set14: await listImages(join(data, 'sr/set14')), 'held-out pets': pets };
  for (const [name, items] of Object.entries(sets)) {
    const results = await measure(items, restore);
    const rows = results.map(({ row }) => row);
    const summary = Object.fromEntries(Object.keys(rows[0]!).map((key) => [key, Number(mean(rows, key).toFixed(4))]));
    process.stdout.write(
      `${JSON.stringify({ model: keyOf(version), set: name, pictures: rows.length, ...summary })}\n`,
    );
    await writeFile(
      join(out, `${name.replace(' ', '-')}.png`),
      await encodePng(imageGrid(results.slice(0, 14).map(({ pictures }) => pictures))),
    );
  }
  await pool.close();
}

await main();
