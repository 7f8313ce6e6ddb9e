/*
 * A net that learns to count: it reads "one , two , three , ..." in English up to 8000 and is tested with 8001 .. 9999.
 * Two layers of gated recurrent units, the last model of the human-numbers lesson; about a minute on two cores.
 *
 *   node dist/examples/human-numbers.js [epochs]
 *
 * In a project of your own, the library's imports are from 'fettle' and 'fettle/node'; copy the model.
 */
import { model5 } from '../models/human-numbers.ts';
import { openSession } from '../training/index.node.ts';
import {
  createLearner,
  humanNumbers,
  type Loss,
  losses,
  metrics,
  ops,
  textOf,
  textWindows,
  type WindowBatch,
} from '../training/index.ts';

const epochs = Number(process.argv[2] ?? 10);
if (!Number.isSafeInteger(epochs) || epochs < 1) {
  console.error(`epochs: expected a whole number of at least 1, got ${process.argv[2]}`);
  process.exit(2);
}

// The text: 38 different words, 50 082 of them to learn from.
const { train, valid, vocab } = humanNumbers();
console.log(textOf(train.slice(0, 12), vocab));

// 64 places of the text at a time, 20 words at each; every batch continues where the last one stopped.
const windows = { batchSize: 64, bptt: 20 };
const held = textWindows({ ...windows, tokens: valid });

// What is wanted after every word is the next one: scores [64, 20, 38] against words [64, 20].
const nextWord: Loss = (scores, words) =>
  losses.crossEntropyLoss(ops.reshape(scores, [-1, vocab.length]), ops.reshape(words, [-1]));

const learner = await createLearner({
  model: model5,
  loss: nextWord,
  data: { train: textWindows({ ...windows, tokens: train, dropLast: true }), valid: held },
  open: (graph) => openSession(graph, { threads: 1 }),
  metrics: [metrics.accuracy({ axis: 2 })],
});
console.log(learner.summary());

await learner.fitOneCycle(epochs, 1e-2, {
  callbacks: [
    {
      name: 'print',
      afterEpoch: ({ row }) => {
        console.log(`epoch ${row!.epoch}: accuracy ${row!.metrics.accuracy!.toFixed(3)}, ${row!.seconds.toFixed(1)} s`);
      },
    },
  ],
});

// What it predicts after each of the next 20 words of one place, right or wrong.
const batch = (await held.epoch(0).next()).value as WindowBatch;
const scores = (await learner.compiled.forward(learner.state, batch.x)).data;
const said = Int32Array.from({ length: 20 }, (_, i) => {
  const row = scores.subarray(i * vocab.length, (i + 1) * vocab.length);
  return row.indexOf(Math.max(...row));
});
console.log(`text:  ${textOf(batch.y.data.slice(0, 20), vocab)}`);
console.log(`model: ${textOf(said, vocab)}`);
await learner.close();
