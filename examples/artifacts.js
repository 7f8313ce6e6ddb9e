import { mkdir, readFile } from 'node:fs/promises';
import { createLearner, decodeOrtCheckpoint, exportOrtTraining, exportTraining, losses, nn, ops } from 'fettle';
import { openSession, writeDurably } from 'fettle/node';

// y = 1 where x lies in the right half
const x = { dtype: 'float32', dims: [16, 2], data: Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * i)) };
const y = { dtype: 'int32', dims: [16], data: Int32Array.from({ length: 16 }, (_, i) => (x.data[2 * i] > 0 ? 1 : 0)) };
const train = {
  batchesPerEpoch: 1,
  async *epoch() {
    yield { x, y };
  },
};

const model = (scope, input) => {
  const hidden = ops.relu(scope.in('hidden', (s) => nn.linear(s, input, 8)));
  return scope.in('head', (s) => nn.linear(s, hidden, 2));
};
const open = (graph) => openSession(graph);
const learner = await createLearner({ model, loss: losses.crossEntropyLoss, data: { train }, open, lr: 0.01, wdNormBias: true });
await learner.fit(20);

const properties = new Map([['epochs', 20]]);
for (const [folder, files] of [
  ['plain', await exportTraining(learner, { properties })],
  ['ort', await exportOrtTraining(learner, { properties })],
]) {
  await mkdir(folder);
  for (const [name, bytes] of Object.entries(files)) await writeDurably(`${folder}/${name}`, bytes);
}

const { trained, optimizer, properties: kept } = decodeOrtCheckpoint(await readFile('ort/checkpoint'));
console.log([...trained.keys()].join(' '), optimizer.step, kept.get('epochs'));
await learner.close();
