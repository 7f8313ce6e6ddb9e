import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { createLearner, type Learner } from '../../training/learner/learner.ts';
import { accuracy } from '../../training/learner/metrics.ts';
import { describeRow, type EpochRow } from '../../training/loop/recorder.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import { nesterov } from '../../training/optim/optimizers.ts';
import { alongSurface, surfaceGrid } from '../../training/report/loss-surface.ts';
import { svgToPng } from '../../training/report/png.node.ts';
import { type Surface, surfaceChart } from '../../training/report/surface.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { runFolder } from '../../training/runs/run-folder.node.ts';
import { landscapeNet } from './landscape-nets.ts';
import { type Digits, digitLoader, readDigits } from './mnist-data.ts';

/*
 * The loss landscape of a deep net with and without skip connections, after Li et al. 2018: both are trained alike on MNIST, then
 * the loss on training digits is taken on a square of two filter-normalised random directions about what was found. Interrupted
 * runs continue when the same command is given again.
 *
 *   FETTLE_DATA=... node dist/scripts/results/loss-landscape.js
 */

interface Options {
  readonly data: string;
  readonly out: string;
  readonly picture: string;
  readonly blocks: number;
  readonly width: number;
  readonly items: number;
  readonly epochs: number;
  readonly points: number;
  readonly span: number;
  readonly digits: number;
  readonly seed: number;
}

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const nameOf = (skip: boolean): string => (skip ? 'with-skips' : 'without-skips');
const first = ({ images, labels }: Digits, count: number): Digits => ({
  images: images.subarray(0, count * 28 * 28),
  labels: labels.subarray(0, count),
});

interface DigitSets {
  readonly train: Digits;
  readonly test: Digits;
}

/** Trains one of the nets, or reads what was trained. */
async function trained(options: Options, skip: boolean, { train, test }: DigitSets): Promise<Learner> {
  const { blocks, width, items, epochs, seed, out } = options;
  const learner = await createLearner({
    name: 'landscape',
    model: landscapeNet({ blocks, width, skip }),
    loss: crossEntropyLoss,
    data: {
      train: digitLoader(first(train, items), { batchSize: 128, train: { seed, pad: 0 } }),
      valid: digitLoader(test, { batchSize: 250 }),
    },
    open: (graph) => openSession(graph),
    optimizer: nesterov,
    wd: 5e-4,
    moms: [0.9, 0.9, 0.9],
    metrics: [accuracy()],
    seed,
  });
  const folder = join(out, nameOf(skip));
  await mkdir(folder, { recursive: true });
  say(`${nameOf(skip)}: ${6 * blocks + 2} layers, ${learner.paramCount.toLocaleString('en')} parameters`);
  const tell = { name: 'tell', afterEpoch: ({ row }: { readonly row?: EpochRow }) => say(describeRow(row!)) };
  await learner.fitOneCycle(epochs, 0.1, { store: runFolder(folder, { intervalS: 30 }), callbacks: [tell] });
  return learner;
}

/** Lines `alpha,beta,loss` of a file, none when it is not there. */
async function readPoints(path: string): Promise<number[][]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole !== text) await writeFile(path, whole);
  return whole
    .split('\n')
    .filter(Boolean)
    .slice(1)
    .map((line) => line.split(',').map(Number));
}

/** The losses on the grid; those that the CSV file has already are taken from there. */
async function measure(learner: Learner, options: Options, skip: boolean, { train }: DigitSets): Promise<number[]> {
  const { points, span, digits, out } = options;
  const path = join(out, `${nameOf(skip)}.csv`);
  const losses = (await readPoints(path)).map(([, , loss]) => loss!);
  if (losses.length === 0) await writeFile(path, 'alpha,beta,loss\n');
  const loader = digitLoader(first(train, digits), { batchSize: Math.min(512, digits) });
  const rest = surfaceGrid(points, span).slice(losses.length);
  // Far from the minimum a loss may well be infinite.
  const loss = async (): Promise<number> => (await learner.validate(loader, { notFinite: () => {} })).valid_loss!;
  for await (const { alpha, beta, value } of alongSurface(learner.state, rest, loss)) {
    losses.push(value);
    await appendFile(path, `${alpha},${beta},${value}\n`);
    if (losses.length % points === 0) say(`${nameOf(skip)}: ${losses.length} of ${points * points} points`);
  }
  return losses;
}

/** The grids side by side: `alpha,beta,<title>,<title>`. */
function toCsv(surfaces: readonly Surface[], { points, span }: Options): string {
  const rows = surfaceGrid(points, span).map(({ alpha, beta }, i) => {
    const losses = surfaces.map(({ values }) => values[i]!.toPrecision(6));
    return [alpha.toFixed(4), beta.toFixed(4), ...losses].join(',');
  });
  return `${[['alpha', 'beta', ...surfaces.map(({ title }) => title)].join(','), ...rows].join('\n')}\n`;
}

/** The loss in the middle of the square, its quartiles and the highest. */
function describe(name: string, values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const quantile = (share: number): string => sorted[Math.floor(share * (sorted.length - 1))]!.toPrecision(3);
  const middle = values[(values.length - 1) / 2]!.toPrecision(3);
  return `${name}: loss ${middle} in the middle, quartiles ${[0.25, 0.5, 0.75].map(quantile).join(', ')}, highest ${quantile(1)}`;
}

/**
 * Directional second differences that are negative, as a share of all: 0 for a convex bowl. The larger it is, the less convex,
 * on the scale of the grid.
 */
function concaveShare(values: readonly number[], points: number): number {
  let [negative, all] = [0, 0];
  const at = (x: number, y: number): number => Math.log(values[y * points + x]!);
  for (let y = 0; y < points; y++) {
    for (let x = 1; x + 1 < points; x++) {
      for (const [a, b, c] of [
        [at(x - 1, y), at(x, y), at(x + 1, y)],
        [at(y, x - 1), at(y, x), at(y, x + 1)],
      ] as const) {
        all += 1;
        if (a + c - 2 * b < 0) negative += 1;
      }
    }
  }
  return negative / all;
}

async function main(options: Options): Promise<void> {
  const sets = { train: await readDigits(options.data, 'train'), test: await readDigits(options.data, 't10k') };
  await mkdir(options.out, { recursive: true });
  const surfaces: Surface[] = [];
  for (const skip of [false, true]) {
    const learner = await trained(options, skip, sets);
    const values = await measure(learner, options, skip, sets);
    const { accuracy: right } = await learner.validate();
    await learner.close();
    const title = `${6 * options.blocks + 2} layers ${skip ? 'with' : 'without'} skips`;
    say(`${describe(title, values)}; test accuracy ${(100 * right!).toFixed(2)} %`);
    say(
      `${title}: second differences of log loss below zero ${(100 * concaveShare(values, options.points)).toFixed(1)} %`,
    );
    surfaces.push({ title, points: options.points, values });
  }
  const svg = surfaceChart(surfaces, {
    label: 'loss',
    span: options.span,
    ceiling: 10,
    levels: [0.1, 0.2, 0.5, 1, 2, 3, 5, 8],
    log: true,
  });
  await writeFile(join(options.out, 'loss-landscape.svg'), svg);
  await writeFile(options.picture, await svgToPng(svg));
  await writeFile(options.picture.replace(/\.png$/, '.csv'), toCsv(surfaces, options));
  say(`written: ${options.picture} and its numbers beside it`);
}

if (process.argv[1] === import.meta.filename) {
  const command = new Command('loss-landscape')
    .option('--data <folder>', 'folder of the idx files', join(process.env.FETTLE_DATA ?? 'data', 'mnist'))
    .option('--out <folder>', 'checkpoints and grids', 'runs/loss-landscape')
    .option('--picture <file>', 'the two surfaces', 'docs/images/loss-landscape.png')
    .option('--blocks <n>', 'blocks in each of three stages', Number, 9)
    .option('--width <n>', 'channels of the first stage', Number, 4)
    .option('--items <n>', 'digits to train on', Number, 12_800)
    .option('--epochs <n>', 'epochs', Number, 3)
    .option('--points <n>', 'points along each side of the square, odd', Number, 25)
    .option('--span <x>', 'half its side', Number, 1)
    .option('--digits <n>', 'training digits over which the loss is taken', Number, 512)
    .option('--seed <n>', 'seed', Number, 1)
    .parse();
  await main(command.opts<Options>());
}
