import { restoreUnet, restoreUnetDefaults } from '../../models/unet.ts';
import { ensure } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { createDataLoaders, dataBlock } from '../../training/data/block.node.ts';
import { damaged } from '../../training/data/labellers.ts';
import { noSplit } from '../../training/data/splitters.ts';
import { compileOptimizer, compileStep } from '../../training/loop/compile.ts';
import { mseLoss } from '../../training/nn/losses.ts';
import { adam } from '../../training/optim/optimizers.ts';
import { listImages } from '../../training/pictures/items.node.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState } from '../../training/step/state.ts';
import type { Task } from '../../training/step/train-step.ts';
import { benchOptions } from './options.ts';
import { machine, median } from './race.ts';

/**
 * What decoding costs while training: epochs of the restore U-Net fed by the loader of damaged pictures, turn by turn with epochs that
 * repeat one batch, in one run. Prints one JSON line; `ratio` is the median over rounds of decoded / cached time. Run it
 * on a quiet machine.
 *   node dist/scripts/bench/epoch.js --data $FETTLE_DATA/sr/pets [--size 128] [--batch 8] [--steps 16] [--rounds 5]
 */
const defaults = { data: '', size: 128, batch: 8, steps: 16, rounds: 5, workers: 1 };
const { data, size, batch: batchSize, steps, rounds, workers } = benchOptions(defaults);
ensure(data !== '', 'bad-argument', () => 'bench/epoch: expected --data FOLDER, got none');

interface Batch {
  readonly x: Tensor<'float32'>;
  readonly y: Tensor<'float32'>;
}

const dims = [batchSize, 3, size, size];
const task: Task = {
  name: 'restore',
  inputs: ['x', 'y'].map((name) => ({ name, dtype: 'float32', shape: dims })),
  forward: (scope, { x, y }) => ({ loss: mseLoss(restoreUnet(scope, x!, restoreUnetDefaults), y!) }),
};
const step = await compileStep(task, openSession);
const state = createState(step.graphs.specs, { optimizer: adam });
initState(state, 1);
const optimizer = await compileOptimizer(adam, state, openSession);
const samplesPerEpoch = steps * batchSize;
const block = dataBlock({ get: listImages, split: noSplit(), label: damaged(), size, batchSize, samplesPerEpoch });
const { train: loader, close } = await createDataLoaders(block, data, { workers, seed: 7 });

async function train({ x, y }: Batch): Promise<void> {
  await step.gradients(state, { x, y });
  await optimizer.update(state, { lr: 1e-3 });
}

/** Seconds of one epoch over the batches. */
async function timeEpoch(batches: AsyncIterable<Batch> | Iterable<Batch>): Promise<number> {
  const started = performance.now();
  for await (const batch of batches) await train(batch);
  return (performance.now() - started) / 1000;
}

const cached: Batch[] = [];
for await (const { x, y } of loader.epoch(0)) {
  cached.push({ x: { ...x, data: x.data.slice() }, y: { ...y, data: y.data.slice() } });
  break;
}
const repeated = Array.from({ length: steps }, () => cached[0]!);
await timeEpoch(repeated.slice(0, 3));
const turns: { readonly cached: number; readonly decoded: number }[] = [];
for (let round = 1; round <= rounds; round++) {
  turns.push({ cached: await timeEpoch(repeated), decoded: await timeEpoch(loader.epoch(round)) });
}
await close();

const round = (value: number): number => Math.round(value * 1000) / 1000;
const result = {
  bench: 'epoch',
  size,
  batchSize,
  steps,
  rounds,
  workers,
  cachedSeconds: round(median(turns.map((turn) => turn.cached))),
  decodedSeconds: round(median(turns.map((turn) => turn.decoded))),
  ratio: round(median(turns.map(({ cached: base, decoded }) => decoded / base))),
  ...machine(),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit();
