/*
 * The wall time of one training epoch of an MNIST net, batches of 128, fettle's Learner beside PyTorch. Both get their batches from the
 * same loader in this process (digits moved by up to 3 pixels), PyTorch's through a pipe; whole epochs in turn.
 *
 *     npm run build:ts && node dist/scripts/bench/mnist-epoch.js --data $FETTLE_DATA/mnist [--net resnet] [--epochs 5] [--threads 2]
 */
import { join } from 'node:path';
import { type MnistNet, mnistNets } from '../../models/mnist.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { Loader } from '../../training/learner/learner.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import { adam } from '../../training/optim/optimizers.ts';
import { createState, initState } from '../../training/step/state.ts';
import { buildStep } from '../../training/step/train-step.ts';
import { mnistLearner } from '../results/mnist.ts';
import { digitLoader, readDigits } from '../results/mnist-data.ts';
import { benchOptions, inFolder, raceDefaults } from './options.ts';
import { openPeer, type Peer } from './peer.ts';
import { machine, median, peakMb, warnIfBusy } from './race.ts';

const batchSize = 128;

const bytesOf = ({ data }: Tensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** First weights of the net, for a peer that starts like a new learner. */
function firstWeights(net: MnistNet): ReadonlyMap<string, Tensor<'float32'>> {
  const { specs } = buildStep({
    name: net,
    inputs: [
      { name: 'x', dtype: 'float32', shape: [batchSize, 1, 28, 28] },
      { name: 'y', dtype: 'int32', shape: [batchSize] },
    ],
    forward: (scope, { x, y }) => ({ loss: crossEntropyLoss(mnistNets[net](scope, x!), y!) }),
  });
  const state = createState(specs, { optimizer: adam });
  initState(state, 1);
  return state.tensors;
}

async function peerEpoch(peer: Peer, loader: Loader, epoch: number): Promise<{ seconds: number; peakMb: number }> {
  const start = performance.now();
  let last: Record<string, unknown> = {};
  for await (const { x, y } of loader.epoch(epoch))
    last = await peer.ask('batch', Buffer.concat([bytesOf(x as Tensor), bytesOf(y as Tensor)]));
  return { seconds: (performance.now() - start) / 1000, peakMb: Number(last.peakMb) };
}

await inFolder(async (folder) => {
  const data = join(process.env.FETTLE_DATA ?? 'data', 'mnist');
  const defaults = { data, net: 'resnet', epochs: 5, threads: 2, python: raceDefaults.python };
  const { threads, ...values } = benchOptions(defaults);
  const net = values.net as MnistNet;
  warnIfBusy(threads);
  const train = digitLoader(await readDigits(values.data, 'train'), { batchSize, train: { seed: 1, pad: 3 } });
  const learner = await mnistLearner(net, 1, train, { batchesPerEpoch: 0, async *epoch() {} }, threads);
  try {
    const batch = {
      x: { dtype: 'float32', dims: [batchSize, 1, 28, 28], data: new Float32Array(batchSize * 784) },
      y: { dtype: 'int32', dims: [batchSize], data: new Int32Array(batchSize) },
    } as const;
    const adamSettings = { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, wd: 0 };
    const settings = { net: `mnist_${net}`, weights: firstWeights(net), batch, adam: adamSettings, threads };
    const peer = await openPeer('torch_step.py', settings, { python: values.python, folder });
    const [ours, theirs]: [number[], { seconds: number; peakMb: number }[]] = [[], []];
    for (let epoch = 0; epoch < values.epochs; epoch++) {
      const start = performance.now();
      await learner.fit(1, 1e-3);
      ours.push((performance.now() - start) / 1000);
      theirs.push(await peerEpoch(peer, train, epoch));
    }
    peer.close();
    const theirTimes = theirs.map(({ seconds }) => seconds);
    const result = {
      bench: 'mnist-epoch',
      net,
      batchSize,
      threads,
      ...machine(),
      peer: peer.facts,
      fettle: { bestS: Math.min(...ours), medianS: median(ours), peakMb: peakMb() },
      torch: { bestS: Math.min(...theirTimes), medianS: median(theirTimes), peakMb: theirs.at(-1)!.peakMb },
      ratio: { best: Math.min(...theirTimes) / Math.min(...ours), median: median(theirTimes) / median(ours) },
    };
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    await learner.close();
  }
});
