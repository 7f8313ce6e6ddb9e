/*
 * One training step of the restore U-Net, batch 8 x 3 x 128 x 128, Adam, MSE: fettle on the CPU beside PyTorch, turn by
 * turn in one run. Both start from the same weights and must report the same losses. Run it on a quiet machine: with
 * fewer free cores than threads PyTorch's threads wait for each other, and the ratio says nothing.
 *
 *     npm run build:ts && node dist/scripts/bench/unet-step.js [--rounds 12] [--threads 2] [--python /usr/bin/python3]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { restoreUnet, restoreUnetDefaults } from '../../models/unet.ts';
import { createRng } from '../../training/core/rng.ts';
import { f32, sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { compileOptimizer, compileStep } from '../../training/learner/trainer.ts';
import { mseLoss } from '../../training/nn/losses.ts';
import { adam } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState, type TrainState } from '../../training/step/state.ts';
import type { Task } from '../../training/step/train-step.ts';
import { rootDir } from '../source-files.ts';

/** What one side answers to "one step": the loss before the update, its time, the process's peak memory so far. */
interface Turn {
  readonly loss: number;
  readonly ms: number;
  /** CPU time of all threads, waiting in a loop included. */
  readonly cpuMs: number;
  readonly peakMb: number;
}
interface Side {
  step(): Promise<Turn>;
  close(): void;
}

const dims = [8, 3, 128, 128];
const hyper = { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-5, wd: 0 };

const task: Task = {
  name: 'restore',
  inputs: [
    { name: 'x', dtype: 'float32', shape: dims },
    { name: 'target', dtype: 'float32', shape: dims },
  ],
  forward: (scope, { x, target }) => ({ loss: mseLoss(restoreUnet(scope, x!), target!) }),
};

/** Smooth coloured waves plus noise: something a net can learn from, the same on every machine. */
function makeBatch(): { readonly x: Tensor<'float32'>; readonly target: Tensor<'float32'> } {
  const rng = createRng('unet-step');
  const clean = Float32Array.from(
    { length: sizeOf(dims) },
    (_, i) => 0.5 + 0.4 * Math.sin((i % 128) / 9 + Math.floor(i / 128) / 17),
  );
  const damaged = clean.map((value) => value + 0.1 * rng.normal());
  return { x: f32(dims, damaged), target: f32(dims, clean) };
}

const peakMb = (): number => process.resourceUsage().maxRSS / 1024;

async function openOurs(
  threads: number,
  batch: ReturnType<typeof makeBatch>,
): Promise<{ side: Side; state: TrainState }> {
  const open = (model: Uint8Array) => openSession(model, { threads });
  const step = await compileStep(task, open);
  const state = createState(step.graphs.specs, { optimizer: adam });
  initState(state, 1);
  const optimizer = await compileOptimizer(adam, state, open);
  const side: Side = {
    async step() {
      const start = performance.now();
      const cpu = process.cpuUsage();
      const loss = await step.gradients(state, batch);
      await optimizer.update(state, hyper);
      const { user, system } = process.cpuUsage(cpu);
      return { loss, ms: performance.now() - start, cpuMs: (user + system) / 1000, peakMb: peakMb() };
    },
    close: () => undefined,
  };
  return { side, state };
}

/** Writes weights and batch where the Python side finds them; returns the path of its settings. */
function handOver(folder: string, state: TrainState, batch: ReturnType<typeof makeBatch>, threads: number): string {
  const tensors = [...state.tensors, ['x', batch.x] as const, ['target', batch.target] as const];
  let offset = 0;
  const refs = tensors.map(([name, tensor]) => {
    const ref = { name, dims: tensor.dims, offset };
    offset += tensor.data.length;
    return ref;
  });
  const all = new Float32Array(offset);
  tensors.forEach(([, { data }], i) => {
    all.set(data, refs[i]!.offset);
  });
  const data = join(folder, 'data.bin');
  writeFileSync(data, new Uint8Array(all.buffer));
  const [x, target] = refs.slice(-2);
  const settings = join(folder, 'settings.json');
  const config = restoreUnetDefaults;
  writeFileSync(
    settings,
    JSON.stringify({ config, weights: refs.slice(0, -2), x, target, adam: hyper, threads, data }),
  );
  return settings;
}

async function openTorch(python: string, settings: string, threads: number): Promise<{ side: Side; version: string }> {
  const script = join(rootDir, 'scripts', 'bench', 'torch_unet.py');
  const env = { ...process.env, OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) };
  const child: ChildProcess = spawn(python, [script, settings], { stdio: ['pipe', 'pipe', 'inherit'], env });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const read = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next();
    if (done)
      throw new Error(`unet-step: expected an answer from ${python}, got its end; is PyTorch installed for it?`);
    return JSON.parse(value) as Record<string, unknown>;
  };
  const { torch } = await read();
  const step = async (): Promise<Turn> => {
    child.stdin!.write('step\n');
    return (await read()) as unknown as Turn;
  };
  return { side: { step, close: () => child.stdin!.end() }, version: String(torch) };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const summary = (turns: readonly Turn[]) => ({
  bestMs: Math.min(...turns.map(({ ms }) => ms)),
  medianMs: median(turns.map(({ ms }) => ms)),
  bestCpuMs: Math.min(...turns.map(({ cpuMs }) => cpuMs)),
  peakMb: turns.at(-1)!.peakMb,
  firstLoss: turns[0]!.loss,
  lastLoss: turns.at(-1)!.loss,
});

/**
 * Throws unless both sides saw the same loss: to 1e-4 of it before the first update. Adam divides by the gradient's size, so
 * rounding grows where gradients are near zero; later losses are held to 5e-2, which a wrong update would not meet.
 */
function checkSame(ours: Turn, torch: Turn, turn: number): void {
  const error = Math.abs(ours.loss - torch.loss) / torch.loss;
  if (error <= (turn === 1 ? 1e-4 : 5e-2)) return;
  throw new Error(
    `unet-step: expected equal losses at step ${turn}, got ${ours.loss} and PyTorch's ${torch.loss}; torch_unet.py is another net`,
  );
}

/** Alternates single steps, with a pause in which the other side's threads go to sleep; the first two rounds warm up. */
async function race(ours: Side, torch: Side, rounds: number): Promise<{ ours: Turn[]; torch: Turn[] }> {
  const turns = { ours: [] as Turn[], torch: [] as Turn[] };
  for (let round = -2; round < rounds; round++) {
    const a = await ours.step();
    await pause(100);
    const b = await torch.step();
    await pause(100);
    checkSame(a, b, round + 3);
    if (round < 0) continue;
    turns.ours.push(a);
    turns.torch.push(b);
  }
  return turns;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '12' },
      threads: { type: 'string', default: '2' },
      python: { type: 'string', default: '/usr/bin/python3' },
    },
  });
  const threads = Number(values.threads);
  const [loadBefore] = loadavg();
  if (loadBefore! + threads > cpus().length + 0.3) {
    process.stderr.write(
      `unet-step: the load is already ${loadBefore!.toFixed(1)} on ${cpus().length} cores; expect a wrong ratio\n`,
    );
  }
  const folder = mkdtempSync(join(tmpdir(), 'fettle-bench-'));
  try {
    const batch = makeBatch();
    const { side, state } = await openOurs(threads, batch);
    const torch = await openTorch(values.python, handOver(folder, state, batch, threads), threads);
    const turns = await race(side, torch.side, Number(values.rounds));
    torch.side.close();
    const [ours, theirs] = [summary(turns.ours), summary(turns.torch)];
    const ratio = { best: theirs.bestMs / ours.bestMs, median: theirs.medianMs / ours.medianMs };
    const result = {
      config: restoreUnetDefaults,
      dims,
      threads,
      cpu: cpus()[0]?.model,
      loadBefore,
      parameters: state.params.length,
      ours,
      torch: { version: torch.version, ...theirs },
      ratio,
    };
    process.stdout.write(`${JSON.stringify(result)}\n`);
    const line = (name: string, s: typeof ours): string =>
      `${name} ${s.bestMs.toFixed(0)} ms best, ${s.medianMs.toFixed(0)} median, ${s.peakMb.toFixed(0)} MB peak`;
    process.stdout.write(
      `${line('fettle', ours)}; ${line(`PyTorch ${torch.version}`, theirs)}; PyTorch/fettle ${ratio.best.toFixed(2)} best, ${ratio.median.toFixed(2)} median\n`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await main();
