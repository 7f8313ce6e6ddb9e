import { createLearner, earlyStopping, ema, gradientClip, losses, nn, ops, saveBest, slice, splitByPrefix } from 'fettle';
import { csvLog, openSession, runFolder, tensorBoard } from 'fettle/node';

const tensor = (dims, values) => ({ dtype: 'float32', dims, data: Float32Array.from(values) });
const line = {
  batchesPerEpoch: 20,
  async *epoch(number, { fromBatch = 0 } = {}) {
    for (let i = fromBatch; i < 20; i++) {
      const points = Array.from({ length: 16 }, (_, k) => Math.sin(number * 320 + i * 16 + k));
      yield { x: tensor([16, 1], points), y: tensor([16, 1], points.map((point) => Math.abs(point))) };
    }
  },
};
const learner = await createLearner({
  model: (scope, x) => {
    const body = ops.relu(scope.in('body', (s) => nn.linear(s, x, 16)));
    return scope.in('head', (s) => nn.linear(s, body, 1));
  },
  loss: losses.mseLoss,
  data: { train: line, valid: line },
  open: (graph) => openSession(graph),
  splitter: splitByPrefix(['body']),
  callbacks: [gradientClip(1), ema({ decay: 0.99 }), saveBest(), csvLog('history.csv'), tensorBoard('logs')],
});
await learner.freeze();
await learner.fitOneCycle(1, 0.01, { store: runFolder('run/head') });
await learner.unfreeze();
const rows = await learner.fitOneCycle(5, slice(0.001, 0.01), {
  callbacks: [earlyStopping({ patience: 3 })],
  store: runFolder('run/all', { keep: 2 }),
});
console.log(learner.explain());
console.log(`valid loss ${rows.at(-1).metrics.valid_loss.toFixed(4)}`);
await learner.close();
