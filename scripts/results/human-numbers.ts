import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { everyWord, humanNumbersModels, lastWord, scoresLastWord } from '../../models/human-numbers.ts';
import { writeDurably } from '../../training/core/durable.node.ts';
import { createLearner, type Learner } from '../../training/learner/learner.ts';
import { accuracy, type Metric } from '../../training/learner/metrics.ts';
import type { EpochRow } from '../../training/loop/recorder.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { type HumanNumbers, humanNumbers } from '../../training/text/human-numbers.ts';
import { textWindows } from '../../training/text/windows.ts';

/*
 * The ladder of the human-numbers lesson with its settings: rows of text 64 at a time, one cycle, AdamW (0.9, 0.99) with weight
 * decay 0.01 on everything. The state is carried from batch to batch and, as in the lesson, never put back to zero: not between
 * epochs, not before the validation set. Prints one JSON line per model and seed, and the means beside the lesson's numbers.
 *
 *   node dist/scripts/results/human-numbers.js --seeds 5
 */

export interface LadderRecipe {
  /** Words per batch and row. */
  readonly bptt: number;
  readonly epochs: number;
  readonly lr: number;
  readonly pctStart: number;
  /** Accuracies that the lecture and its stored notebook show. */
  readonly lesson: readonly [low: number, high: number];
}

/** Settings of Model0 .. Model5. */
export const ladder: readonly LadderRecipe[] = [
  { bptt: 3, epochs: 6, lr: 1e-4, pctStart: 0.3, lesson: [0.41, 0.46] },
  { bptt: 3, epochs: 6, lr: 1e-4, pctStart: 0.3, lesson: [0.39, 0.46] },
  { bptt: 20, epochs: 10, lr: 1e-4, pctStart: 0.1, lesson: [0.35, 0.41] },
  { bptt: 20, epochs: 20, lr: 3e-3, pctStart: 0.3, lesson: [0.44, 0.54] },
  { bptt: 20, epochs: 20, lr: 3e-3, pctStart: 0.3, lesson: [0.58, 0.61] },
  { bptt: 20, epochs: 10, lr: 1e-2, pctStart: 0.3, lesson: [0.75, 0.84] },
];

/** Accuracy of the word after the last one. */
function lastWordAccuracy(): Metric {
  const metric = accuracy();
  return {
    ...metric,
    start: () => {
      const run = metric.start();
      return {
        ...run,
        add: (scores, { dims, data }) => {
          const [rows, length] = dims as [number, number];
          const last = Int32Array.from({ length: rows }, (_, row) => Number(data[(row + 1) * length - 1]));
          run.add(scores, { dtype: 'int32', dims: [rows], data: last });
        },
      };
    },
  };
}

/** Windows of the training and validation text for Model`index`. */
export function ladderData({ train, valid }: HumanNumbers, index: number) {
  const shape = { batchSize: 64, bptt: ladder[index]!.bptt };
  return {
    // The last column of the training text would be a batch of one word per row.
    train: textWindows({ tokens: train, ...shape, dropLast: true }),
    valid: textWindows({ tokens: valid, ...shape }),
  };
}

/** A learner with the lesson's settings for Model`index`. */
export function ladderLearner(index: number, seed: number, text = humanNumbers()): Promise<Learner> {
  const last = scoresLastWord(index);
  return createLearner({
    name: `human_numbers_${index}`,
    model: humanNumbersModels[index]!,
    loss: last ? lastWord : everyWord,
    data: ladderData(text, index),
    // Matrices of 64 x 64 are too small to share among threads.
    open: (graph) => openSession(graph, { threads: 1 }),
    metrics: [last ? lastWordAccuracy() : accuracy({ axis: 2 })],
    ...(last ? { countTargets: ({ dims }) => dims[0]! } : {}),
    wdNormBias: true,
    hyper: { beta2: 0.99, eps: 1e-8 },
    moms: [0.95, 0.85, 0.95],
    seed,
  });
}

/** Trains Model`index` as the lesson does. */
export async function trainLadder(learner: Learner, index: number): Promise<readonly EpochRow[]> {
  const { epochs, lr, pctStart } = ladder[index]!;
  return await learner.fitOneCycle(epochs, lr, { pctStart, divFinal: 25e4 });
}

interface Line {
  readonly model: number;
  readonly seed: number;
  readonly params: number;
  /** After the last epoch, and the best of all epochs. */
  readonly accuracy: number;
  readonly best: number;
  readonly trainLoss: number;
  readonly validLoss: number;
  readonly seconds: number;
}

const rounded = (value: number): number => Number(value.toPrecision(4));

async function runOne(model: number, seed: number, text: HumanNumbers): Promise<Line> {
  const learner = await ladderLearner(model, seed, text);
  try {
    const rows = await trainLadder(learner, model);
    const { trainLoss, metrics } = rows.at(-1)!;
    return {
      model,
      seed,
      params: learner.paramCount,
      accuracy: rounded(metrics.accuracy!),
      best: rounded(Math.max(...rows.map((row) => row.metrics.accuracy!))),
      trainLoss: rounded(trainLoss),
      validLoss: rounded(metrics.valid_loss!),
      seconds: rounded(rows.reduce((sum, row) => sum + row.seconds, 0)),
    };
  } finally {
    await learner.close();
  }
}

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** `Model4: mean 0.5921 of 5 (0.57 .. 0.61), lesson 0.58 .. 0.61: within`. */
function verdict(model: number, accuracies: readonly number[]): string {
  const [low, high] = ladder[model]!.lesson;
  const mean = meanOf(accuracies);
  const distance = Math.max(0, low - mean, mean - high);
  const where = distance === 0 ? 'within' : `${distance.toFixed(3)} ${mean < low ? 'below' : 'above'}`;
  const range = `${Math.min(...accuracies).toFixed(3)} .. ${Math.max(...accuracies).toFixed(3)}`;
  return `Model${model}: mean ${mean.toFixed(4)} of ${accuracies.length} (${range}), lesson ${low} .. ${high}: ${where}`;
}

async function main(options: { readonly models: string; readonly seeds: string; readonly out: string }): Promise<void> {
  const text = humanNumbers();
  const { valid } = ladderData(text, 2);
  say(`${text.vocab.length} words; validation: ${text.valid.length} tokens, ${valid.targets} targets in a pass`);
  const lines: Line[] = [];
  const verdicts: string[] = [];
  await mkdir(dirname(options.out), { recursive: true });
  for (const model of options.models.split(',').map(Number)) {
    for (let seed = 1; seed <= Number(options.seeds); seed++) {
      const line = await runOne(model, seed, text);
      lines.push(line);
      say(JSON.stringify(line));
      await writeDurably(options.out, `${JSON.stringify(lines, null, 1)}\n`);
    }
    verdicts.push(
      verdict(
        model,
        lines.filter((line) => line.model === model).map((line) => line.accuracy),
      ),
    );
  }
  say(verdicts.join('\n'));
}

if (process.argv[1] === import.meta.filename) {
  const command = new Command('human-numbers')
    .option('--models <list>', 'which of Model0 .. Model5', '0,1,2,3,4,5')
    .option('--seeds <n>', 'seeds 1..n', '5')
    .option('--out <file>', 'results', 'runs/human-numbers.json')
    .parse();
  await main(command.opts());
}
