import { join } from 'node:path';
import { type BackboneName, backbones } from '../../models/backbones.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { createScope, type ParamSpec } from '../../training/nn/scope.ts';
import { Graph } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import { createState, type TrainState } from '../../training/step/state.ts';
import { buildEvaluation, type Task } from '../../training/step/train-step.ts';
import { loadWeights } from '../../training/weights/load.ts';
import { formatWeightReport } from '../../training/weights/match.ts';
import { readWeightsFile } from '../../training/weights/read.node.ts';
import { benchOptions, inFolder } from '../bench/options.ts';
import { type PeerError, relativeError, reportErrors, runGraph, runReference, trainingErrors } from './torch-peer.ts';

/*
 * torchvision's models with random weights: the state dict as PyTorch saved it loads by name, and gives PyTorch's scores (all of them)
 * and gradients (ResNet-18), each within 1e-4 of a tensor's largest value. Wants a Python with torchvision: $FETTLE_PYTHON, else python3.
 *   npm run build:ts && node dist/scripts/results/torchvision.js [NAME...]
 */

type Numbers = ReadonlyMap<string, Tensor>;

const taskOf = (name: BackboneName, x: Tensor): Task => ({
  name,
  inputs: [
    { name: 'x', dtype: 'float32', shape: x.dims },
    { name: 'dy', dtype: 'float32', shape: [x.dims[0]!, 1000] },
  ],
  forward: (scope, { x: input, dy }) => {
    const scores = backbones[name].classify(scope, input!);
    return { loss: o.reduceSum(o.mul(scores, dy!)), outputs: { scores } };
  },
});

function specsOf(name: BackboneName): readonly ParamSpec[] {
  const scope = createScope(new Graph(name), { training: false });
  backbones[name].classify(scope, scope.graph.input('x', 'float32', [1, 3, 224, 224]));
  return scope.specs;
}

/** A state with the weights of a file, and its report. */
async function loadedState(
  name: BackboneName,
  path: string,
): Promise<{ readonly state: TrainState; readonly told: string }> {
  const state = createState(specsOf(name), { optimizer: adamw });
  const startMs = performance.now();
  const report = loadWeights(state, await readWeightsFile(path));
  const told = `${formatWeightReport({ ...report, file: name })}\n  loaded in ${(performance.now() - startMs).toFixed(0)} ms`;
  return { state, told };
}

/** Relative error of the scores. */
async function scoreError(name: BackboneName, state: TrainState, expected: Numbers): Promise<number> {
  const x = expected.get('x')!;
  const dy: Tensor = { dtype: 'float32', dims: [x.dims[0]!, 1000], data: new Float32Array(x.dims[0]! * 1000) };
  const { scores } = await runGraph(buildEvaluation(taskOf(name, x)), state, { x, dy });
  return relativeError(scores!, expected.get('scores')!);
}

/** Relative errors of a training step, largest first. */
function stepErrors(name: BackboneName, state: TrainState, expected: Numbers): Promise<readonly PeerError[]> {
  const [x, dy] = [expected.get('trainingX')!, expected.get('dy')!];
  return trainingErrors(taskOf(name, x), state, { x, dy }, expected);
}

/** Makes, loads and compares one model. */
async function compare(name: BackboneName, folder: string): Promise<void> {
  const versions = runReference('torchvision_reference.py', folder, name);
  const { tensors: expected } = await readWeightsFile(join(folder, `${name}.expected.pth`));
  const { state, told } = await loadedState(name, join(folder, `${name}.pth`));
  const error = await scoreError(name, state, expected);
  const rows = expected.has('dy') ? await stepErrors(name, state, expected) : [];
  reportErrors([versions, told], error, rows);
}

const { rows: names } = benchOptions({}, Object.keys(backbones));
await inFolder(async (folder) => {
  for (const name of names as readonly BackboneName[]) await compare(name, folder);
});
