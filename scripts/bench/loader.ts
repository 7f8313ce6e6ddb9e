import { availableParallelism } from 'node:os';
import { ensure } from '../../training/core/errors.ts';
import { createDataLoaders, dataBlock } from '../../training/data/block.node.ts';
import { damaged } from '../../training/data/labellers.ts';
import { noSplit } from '../../training/data/splitters.ts';
import { listImages } from '../../training/pictures/items.node.ts';
import { benchOptions } from './options.ts';

/**
 * The loader of damaged pictures alone, with nothing to feed: images per second and processor time per image, as one JSON line.
 *   node dist/scripts/bench/loader.js --data $FETTLE_DATA/sr/pets [--size 128] [--batch 8] [--workers 1] [--samples 800]
 */
const defaults = { data: '', size: 128, batch: 8, workers: 1, samples: 800 };
const { data, size, batch: batchSize, workers, samples } = benchOptions(defaults);
ensure(data !== '', 'bad-argument', () => 'bench/loader: expected --data FOLDER, got none');
const block = dataBlock({
  get: listImages,
  split: noSplit(),
  label: damaged(),
  size,
  batchSize,
  samplesPerEpoch: samples,
});
const { train: loader, close } = await createDataLoaders(block, data, { workers, seed: 7 });

/** Runs `count` batches of an epoch; the first call also pays for starting the threads. */
async function run(epoch: number, count: number): Promise<number> {
  let images = 0;
  for await (const { items: names } of loader.epoch(epoch, { fromBatch: loader.batchesPerEpoch - count })) {
    images += names.length;
  }
  return images;
}

await run(0, Math.min(4, loader.batchesPerEpoch));
const cpuBefore = process.cpuUsage();
const started = performance.now();
const images = await run(1, loader.batchesPerEpoch);
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
await close();

const round = (value: number): number => Math.round(value * 100) / 100;
const result = {
  bench: 'loader',
  size,
  batchSize,
  workers,
  images,
  imagesPerSecond: round(images / seconds),
  cpuMsPerImage: round((user + system) / 1000 / images),
  unreadable: loader.failures.length,
  cores: availableParallelism(),
  node: process.version,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
