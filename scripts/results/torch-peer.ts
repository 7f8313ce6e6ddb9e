import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensure } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import type { Graph } from '../../training/onnx/graph.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Tensors } from '../../training/run/session.ts';
import type { TrainState } from '../../training/step/state.ts';
import { buildStep, gradName, nextName, type Task } from '../../training/step/train-step.ts';
import { rootDir } from '../repo/source-files.ts';

/* What the scripts share that compare a net with the same one in PyTorch. */

/** Largest error of a tensor, as a share of its largest value. */
const peerLimit = 1e-4;

/** The first Python that has torchvision: $FETTLE_PYTHON, else python3. */
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
export function relativeError(ours: Tensor, theirs: Tensor): number {
  const [a, b] = [ours.data as Float32Array, theirs.data as Float32Array];
  ensure(a.length === b.length, 'internal', () => `compare: expected ${b.length} values, got ${a.length}`);
  return largest(b.map((value, i) => value - a[i]!)) / largest(b);
}

/** Runs a graph on the state's numbers and a batch. */
export async function runGraph(graph: Graph, state: TrainState, batch: Tensors): Promise<Tensors> {
  const session = await openSession(toOnnx(graph), { threads: 2 });
  try {
    const wanted = new Set(session.inputNames);
    const tensors = [...state.tensors, ...Object.entries(batch)].filter(([name]) => wanted.has(name));
    return await session.run(Object.fromEntries(tensors));
  } finally {
    await session.release();
  }
}

export interface PeerError {
  readonly name: string;
  readonly error: number;
}

/** Relative errors of every gradient (`grad/NAME` there) and running statistic (`next/NAME`) of a step, largest first. */
export async function trainingErrors(
  task: Task,
  state: TrainState,
  batch: Tensors,
  expected: ReadonlyMap<string, Tensor>,
): Promise<readonly PeerError[]> {
  const out = await runGraph(buildStep(task).training, state, batch);
  const rows = state.specs.map(({ name: own, kind }) => {
    const [ours, theirs] = kind === 'param' ? [gradName(own), `grad/${own}`] : [nextName(own), `next/${own}`];
    return { name: ours, error: relativeError(out[ours]!, expected.get(theirs)!) };
  });
  return rows.sort((a, b) => b.error - a.error);
}

/** Writes a model's rows as text, and whether all errors are below {@link peerLimit} as the exit code. */
export function reportErrors(lines: readonly string[], scores: number, rows: readonly PeerError[]): void {
  const ofStep = rows.length > 0 ? [`  ${describeErrors(rows)}`] : [];
  process.stdout.write(`${[...lines, `  scores: ${scores.toExponential(1)}`, ...ofStep].join('\n')}\n`);
  if (!(scores < peerLimit && rows.every(({ error }) => error < peerLimit))) process.exitCode = 1;
}

/** runReference: runs a Python script beside this file, which writes below `folder`; returns what it prints, its versions. */
export const runReference = (script: string, folder: string, ...args: readonly string[]): string =>
  execFileSync(findPython(), [join(rootDir, 'scripts', 'results', script), folder, ...args], {
    encoding: 'utf8',
  }).trim();

/** `62 gradients and statistics: at most 1.2e-5 (grad/conv1.weight), median 3.4e-6`. */
function describeErrors(rows: readonly PeerError[]): string {
  const [worst, median] = [rows[0]!, rows[rows.length >> 1]!];
  return `${rows.length} gradients and statistics: at most ${worst.error.toExponential(1)} (${worst.name}), median ${median.error.toExponential(1)}`;
}
