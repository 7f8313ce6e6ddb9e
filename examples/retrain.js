import { readFile } from 'node:fs/promises';
import { initializersOf } from 'fettle';
import { openSession } from 'fettle/node';
import { restoreConfigOf, restoreRunDefaults, runRestore } from 'fettle/tasks';

const served = await readFile('run/model.onnx');
const config = {
  ...restoreRunDefaults,
  model: restoreConfigOf(served),
  stages: [{ epochs: 1, size: 32, batchSize: 4 }],
  samplesPerEpoch: 32,
  lr: 3e-4,
};
const open = (model) => openSession(model);
const start = initializersOf(served);
const { before, best } = await runRestore({ config, data: 'photos', out: 'run2', resume: true, open, start });
console.log(`held out: ${before.psnr.toFixed(2)} dB before, ${best.metrics.psnr.toFixed(2)} dB after`);
