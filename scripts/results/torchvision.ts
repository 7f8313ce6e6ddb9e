import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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
import { rootDir } from '../repo/source-files.ts';
import {
  describeErrors,
  findPython,
  type PeerError,
  peerLimit,
  relativeError,
  runGraph,
  trainingErrors,
} from './torch-peer.ts';

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

/** Makes, loads and compares one model; whether all errors are below the limit. */
async function compare(name: BackboneName, python: string, folder: string): Promise<boolean> {
  const script = join(rootDir, 'scripts', 'results', 'torchvision_reference.py');
  const versions = execFileSync(python, [script, folder, name], { encoding: 'utf8' }).trim();
  const { tensors: expected } = await readWeightsFile(join(folder, `${name}.expected.pth`));
  const { state, told } = await loadedState(name, join(folder, `${name}.pth`));
  const error = await scoreError(name, state, expected);
  const rows = expected.has('dy') ? await stepErrors(name, state, expected) : [];
  const lines = [versions, told, `  scores: ${error.toExponential(1)}`];
  if (rows.length > 0) lines.push(`  ${describeErrors(rows)}`);
  process.stdout.write(`${lines.join('\n')}\n`);
  return error < peerLimit && rows.every((row) => row.error < peerLimit);
}

const asked = process.argv.slice(2);
const names = (Object.keys(backbones) as BackboneName[]).filter((name) => asked.length === 0 || asked.includes(name));
const python = findPython();
const folder = await mkdtemp(join(tmpdir(), 'fettle-torchvision-'));
try {
  for (const name of names) if (!(await compare(name, python, folder))) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
