import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { type MnistNet, mnistNets } from '../../models/mnist.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import { createLearner, type Learner, type Loader } from '../../training/learner/learner.ts';
import { accuracy } from '../../training/learner/metrics.ts';
import { describeRow, type EpochRow } from '../../training/loop/recorder.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import { plotTopLosses } from '../../training/report/cells.node.ts';
import { plotConfusion } from '../../training/report/confusion.ts';
import { confusionMatrix } from '../../training/report/interpret.ts';
import { savePlot } from '../../training/report/png.node.ts';
import { plotLoss, plotLrFind, plotMetrics, plotSchedule } from '../../training/report/recorder-plots.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { runFolder } from '../../training/runs/run-folder.node.ts';
import { digitLoader, readDigits } from './mnist-data.ts';

/*
 * The lesson's three nets on MNIST, with its settings: one cycle, batches of 128, digits moved by up to 3 pixels, AdamW
 * (0.9, 0.99) with weight decay 0.01 on everything. Accuracy is on the test set, as in the lesson. A run that was
 * interrupted continues when the same command is given again.
 *
 *   node dist/scripts/results/mnist.js --net resnet --epochs 12 --seeds 3
 */

/** Epochs and highest rate of the lesson. */
const recipes: Readonly<Record<MnistNet, { readonly epochs: number; readonly lr: number }>> = {
  basic: { epochs: 3, lr: 0.1 },
  conv: { epochs: 10, lr: 0.1 },
  resnet: { epochs: 12, lr: 0.05 },
  // Not in the lesson: trained as the net it is a variant of.
  dense: { epochs: 12, lr: 0.05 },
};

interface Options {
  readonly net: MnistNet;
  readonly epochs?: string;
  readonly seeds: string;
  readonly data: string;
  readonly out: string;
  readonly threads?: string;
  readonly pictures?: string;
}

/** A learner with the lesson's settings. */
export const mnistLearner = (
  net: MnistNet,
  seed: number,
  train: Loader,
  valid: Loader,
  threads?: number,
): Promise<Learner> =>
  createLearner({
    name: `mnist_${net}`,
    model: mnistNets[net],
    loss: crossEntropyLoss,
    data: { train, valid },
    open: (graph) => openSession(graph, threads === undefined ? {} : { threads }),
    metrics: [accuracy()],
    wdNormBias: true,
    hyper: { beta2: 0.99, eps: 1e-8 },
    moms: [0.95, 0.85, 0.95],
    seed,
  });

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** The loss over the learning rate, before training. */
async function drawLrFind(learner: Learner, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await savePlot(plotLrFind(await learner.lrFind()), join(folder, 'lr-find.png'));
}

/** Loss, schedule, accuracy, the digits that were hardest, and which were taken for which. */
async function drawResults(learner: Learner, folder: string): Promise<void> {
  const { history } = learner;
  await savePlot(plotLoss(history), join(folder, 'loss.png'));
  await savePlot(plotSchedule(history), join(folder, 'schedule.png'));
  await savePlot(plotMetrics(history, ['accuracy']), join(folder, 'accuracy.png'));
  await savePlot(await plotTopLosses(learner), join(folder, 'top-losses.png'));
  await savePlot(plotConfusion(confusionMatrix(await learner.getPreds())), join(folder, 'confusion.png'));
}

/** What a seed gave, and whether it was trained just now: a run that had finished before is not repeated. */
interface SeedResult {
  readonly rows: readonly EpochRow[];
  readonly trainedNow: boolean;
}

/** Trains one seed, or states that it has been. */
async function runSeed({ net, epochs, data, out, threads, pictures }: Options, seed: number): Promise<SeedResult> {
  const recipe = recipes[net];
  const [train, test] = [await readDigits(data, 'train'), await readDigits(data, 't10k')];
  const learner = await mnistLearner(
    net,
    seed,
    digitLoader(train, { batchSize: 128, train: { seed, pad: 3 } }),
    digitLoader(test, { batchSize: 256 }),
    threads === undefined ? undefined : Number(threads),
  );
  say(`mnist ${net}, seed ${seed}: ${learner.paramCount.toLocaleString('en')} parameters`);
  const folder = join(out, `${net}-${seed}`);
  await mkdir(folder, { recursive: true });
  const store = runFolder(folder, { best: { metric: 'accuracy', higher: true }, intervalS: 60, onNote: say });
  let trainedNow = false;
  const tell = {
    name: 'tell',
    numbers: [],
    afterBatch: () => {
      trainedNow = true;
    },
    afterEpoch: ({ row }: { readonly row?: EpochRow }) => say(describeRow(row!)),
  };
  const drawn = seed === 1 ? pictures : undefined;
  try {
    if (drawn !== undefined) await drawLrFind(learner, drawn);
    const rows = await learner.fitOneCycle(Number(epochs ?? recipe.epochs), recipe.lr, {
      pctStart: 0.3,
      divFinal: 25e4,
      store,
      callbacks: [tell],
    });
    if (drawn !== undefined) await drawResults(learner, drawn);
    return { rows, trainedNow };
  } finally {
    await learner.close();
  }
}

async function main(options: Options): Promise<void> {
  const finals: number[] = [];
  const results: unknown[] = [];
  const old: number[] = [];
  for (let seed = 1; seed <= Number(options.seeds); seed++) {
    const { rows, trainedNow } = await runSeed(options, seed);
    if (!trainedNow) old.push(seed);
    finals.push(rows.at(-1)!.metrics.accuracy!);
    results.push({ net: options.net, seed, trainedNow, rows });
    await writeDurably(join(options.out, `${options.net}.json`), `${JSON.stringify(results, null, 1)}\n`);
  }
  const mean = finals.reduce((sum, value) => sum + value, 0) / finals.length;
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  say(`${options.net}: last epoch ${finals.map(percent).join(', ')}; mean ${percent(mean)}`);
  if (old.length > 0)
    say(`not trained now, the numbers are of an earlier run: seeds ${old.join(', ')}; another --out trains them again`);
}

if (process.argv[1] === import.meta.filename) {
  const command = new Command('mnist')
    .requiredOption('--net <name>', Object.keys(mnistNets).join(', '))
    .option('--epochs <n>', "the lesson's by default")
    .option('--seeds <n>', 'seeds 1..n', '1')
    .option('--data <folder>', 'folder of the idx files', join(process.env.FETTLE_DATA ?? 'data', 'mnist'))
    .option('--out <folder>', 'checkpoints and results', 'runs/mnist')
    .option(
      '--pictures <folder>',
      'pictures of the first seed: lr-find, loss, schedule, accuracy, top losses, confusion',
    )
    .option('--threads <n>', 'threads of ONNX Runtime; all cores by default')
    .parse();
  await main(command.opts<Options>());
}
