import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BackboneName, backbones } from '../../models/backbones.ts';
import { ensure } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { loadWeights } from '../../training/learner/weights/load.ts';
import { formatWeightReport } from '../../training/learner/weights/match.ts';
import { readWeightsFile } from '../../training/learner/weights/read.node.ts';
import { createScope, type ParamSpec } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Tensors } from '../../training/run/session.ts';
import { createState, type TrainState } from '../../training/step/state.ts';
import { buildEvaluation, buildStep, gradName, nextName, type Task } from '../../training/step/train-step.ts';
import { rootDir } from '../source-files.ts';

/*
 * torchvision's four models with random weights: the state dict as PyTorch saved it loads by name, and gives PyTorch's scores (all four)
 * and gradients (ResNet-18), each within 1e-4 of a tensor's largest value. Wants a Python with torchvision: $FETTLE_PYTHON, else python3.
 *   npm run build:ts && node dist/scripts/results/torchvision.js
 */

const limit = 1e-4;

type Numbers = ReadonlyMap<string, Tensor>;

/** The first Python that has torchvision. */
function findPython(): string {
  const candidates = [process.env.FETTLE_PYTHON, 'python3', '/usr/bin/python3'].filter((one) => one !== undefined);
  const found = candidates.find((one) => spawnSync(one, ['-c', 'import torchvision']).status === 0);
  ensure(found, 'unsupported', () => {
    return `torchvision: expected a Python with torchvision, got none of ${candidates.join(', ')}; set FETTLE_PYTHON`;
  });
  return found;
}

const largest = (data: ArrayLike<number>): number =>
  Array.from(data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Largest difference as a share of the largest value of `theirs`. */
function relativeError(ours: Tensor, theirs: Tensor): number {
  const [a, b] = [ours.data as Float32Array, theirs.data as Float32Array];
  ensure(a.length === b.length, 'internal', () => `compare: expected ${b.length} values, got ${a.length}`);
  return largest(b.map((value, i) => value - a[i]!)) / largest(b);
}

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

async function runWith(graph: Graph, state: TrainState, batch: Tensors): Promise<Tensors> {
  const session = await openSession(toOnnx(graph), { threads: 2 });
  try {
    const wanted = new Set(session.inputNames);
    const tensors = [...state.tensors, ...Object.entries(batch)].filter(([name]) => wanted.has(name));
    return await session.run(Object.fromEntries(tensors));
  } finally {
    await session.release();
  }
}

/** Relative errors of every gradient and running statistic, largest first. */
async function trainingErrors(name: BackboneName, state: TrainState, expected: Numbers) {
  const [x, dy] = [expected.get('trainingX')!, expected.get('dy')!];
  const out = await runWith(buildStep(taskOf(name, x)).training, state, { x, dy });
  const rows = state.specs.map(({ name: own, kind }) => {
    const [ours, theirs] = kind === 'param' ? [gradName(own), `grad/${own}`] : [nextName(own), `next/${own}`];
    return { name: ours, error: relativeError(out[ours]!, expected.get(theirs)!) };
  });
  return rows.sort((a, b) => b.error - a.error);
}

/** A state with the weights of a file, and what to tell of it. */
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
  const { scores } = await runWith(buildEvaluation(taskOf(name, x)), state, { x, dy });
  return relativeError(scores!, expected.get('scores')!);
}

/** Makes, loads and compares one model; whether all errors are below the limit. */
async function compare(name: BackboneName, python: string, folder: string): Promise<boolean> {
  const script = join(rootDir, 'scripts', 'results', 'torchvision_reference.py');
  const versions = execFileSync(python, [script, folder, name], { encoding: 'utf8' }).trim();
  const { tensors: expected } = await readWeightsFile(join(folder, `${name}.expected.pth`));
  const { state, told } = await loadedState(name, join(folder, `${name}.pth`));
  const error = await scoreError(name, state, expected);
  const rows = expected.has('dy') ? await trainingErrors(name, state, expected) : [];
  const lines = [versions, told, `  scores: ${error.toExponential(1)}`];
  if (rows.length > 0) {
    const [worst, median] = [rows[0]!, rows[rows.length >> 1]!];
    lines.push(
      `  ${rows.length} gradients and statistics: at most ${worst.error.toExponential(1)} (${worst.name}), median ${median.error.toExponential(1)}`,
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  return error < limit && rows.every((row) => row.error < limit);
}

const python = findPython();
const folder = await mkdtemp(join(tmpdir(), 'fettle-torchvision-'));
try {
  for (const name of Object.keys(backbones) as BackboneName[])
    if (!(await compare(name, python, folder))) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
