import { join } from 'node:path';
import { backbones } from '../../models/backbones.ts';
import { dynamicUnet } from '../../models/dynamic-unet.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import * as o from '../../training/ops/build.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import { createState } from '../../training/step/state.ts';
import { buildEvaluation, buildForward, type Task } from '../../training/step/train-step.ts';
import { loadWeights } from '../../training/weights/load.ts';
import { formatWeightReport } from '../../training/weights/match.ts';
import { readWeightsFile } from '../../training/weights/read.node.ts';
import { inFolder } from '../bench/options.ts';
import { relativeError, reportErrors, runGraph, runReference, trainingErrors } from './torch-peer.ts';

/*
 * DynamicUnet on a ResNet-18 (blur, bottle, 12 classes, an odd size) beside the same net in PyTorch's layers with the same weights: scores,
 * gradients and running statistics, each within 1e-4 of a tensor's largest value. Wants a Python with torchvision, as torchvision.ts.
 *   npm run build:ts && node dist/scripts/results/dynamic-unet.js
 */

const taskOf = (x: Tensor, dy: Tensor): Task => ({
  name: 'unet',
  inputs: Object.entries({ x, dy }).map(([name, { dims }]) => ({ name, dtype: 'float32', shape: dims })),
  forward: (scope, inputs) => {
    const config = { classes: 12, blur: true, bottle: true };
    const scores = dynamicUnet(scope, inputs.x!, backbones.resnet18.encoder, config);
    return { loss: o.reduceSum(o.mul(scores, inputs.dy!)), outputs: { scores } };
  },
});

await inFolder(async (folder) => {
  const versions = runReference('dynamic_unet_reference.py', folder);
  const { tensors: expected } = await readWeightsFile(join(folder, 'unet.expected.pth'));
  const [x, dy] = [expected.get('x')!, expected.get('dy')!];
  const task = taskOf(x, dy);
  const state = createState(buildForward(task, false).scope.specs, { optimizer: adamw });
  const report = loadWeights(state, await readWeightsFile(join(folder, 'unet.pth')));
  const { scores } = await runGraph(buildEvaluation(task), state, { x, dy });
  const error = relativeError(scores!, expected.get('scores')!);
  const rows = await trainingErrors(task, state, { x, dy }, expected);
  const told = formatWeightReport({ ...report, file: 'DynamicUnet, ResNet-18' });
  reportErrors([versions, told], error, rows);
});
