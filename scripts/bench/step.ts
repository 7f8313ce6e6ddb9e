/*
 * One training step (forward, backward, optimiser) of a net, fettle on the CPU beside PyTorch, turn by turn in one run. Both start
 * from the same weights and must report the same losses. Run it on a quiet machine: with fewer free cores than threads
 * PyTorch's threads wait for each other, and the ratio means nothing.
 *
 *     npm run build:ts && node dist/scripts/bench/step.js [row ...] [--rounds 20] [--threads 2] [--python /usr/bin/python3]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sizeOf } from '../../training/core/tensor.ts';
import { compileOptimizer, compileStep } from '../../training/loop/compile.ts';
import type { Graph, Value } from '../../training/onnx/graph.ts';
import { adam } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState, type TrainState } from '../../training/step/state.ts';
import { openPeer } from './peer.ts';
import { describe, machine, median, race, type Side, timed, warnIfBusy } from './race.ts';
import { type StepRow, stepRows } from './step-rows.ts';

const hyper = { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-5, wd: 0 };

/** Megabytes that the nodes of a graph with static shapes read and write in one run; a Reshape moves none. */
function movedMb({ nodes }: Graph): number {
  const bytes = (value: Value | undefined): number => (value === undefined ? 0 : 4 * sizeOf(value.shape as number[]));
  const sum = (values: readonly (Value | undefined)[]): number => values.reduce((total, one) => total + bytes(one), 0);
  const all = nodes.reduce(
    (total, { op, inputs, outputs }) => total + (op === 'Reshape' ? 0 : sum(inputs) + sum(outputs)),
    0,
  );
  return all / 2 ** 20;
}

const ortVersion = (): string =>
  (createRequire(import.meta.url)('onnxruntime-node/package.json') as { readonly version: string }).version;

interface Ours {
  readonly side: Side;
  readonly state: TrainState;
  /** Seconds from nothing to the end of the first step. */
  readonly firstStepS: number;
  readonly nodes: number;
  readonly movedMb: number;
}

async function openOurs({ task, batch }: StepRow, threads: number): Promise<Ours> {
  const start = performance.now();
  const open = (model: Uint8Array) => openSession(model, { threads });
  const step = await compileStep(task, open);
  const state = createState(step.graphs.specs, { optimizer: adam });
  initState(state, 1);
  const optimizer = await compileOptimizer(adam, state, open);
  await step.gradients(state, batch);
  await optimizer.update(state, hyper);
  const firstStepS = (performance.now() - start) / 1000;
  initState(state, 1);
  for (const moment of state.moments) moment.fill(0);
  state.step = 0;
  const side: Side = {
    name: 'fettle',
    step: () =>
      timed(async () => {
        const loss = await step.gradients(state, batch);
        await optimizer.update(state, hyper);
        return loss;
      }),
    close: () => undefined,
  };
  const { training } = step.graphs;
  return { side, state, firstStepS, nodes: training.nodes.length, movedMb: movedMb(training) };
}

interface Options {
  readonly rounds: number;
  readonly threads: number;
  readonly python: string;
}

async function runRow(name: string, row: StepRow, { rounds, threads, python }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-bench-'));
  try {
    const { side, state, firstStepS, nodes, movedMb } = await openOurs(row, threads);
    const settings = {
      net: row.net,
      config: row.config,
      weights: state.tensors,
      batch: row.batch,
      adam: hyper,
      threads,
    };
    const torch = await openPeer('torch_step.py', settings, { python, folder });
    const standings = await race([side, torch], { rounds }).finally(() => torch.close());
    const parameters = state.params.length;
    const facts = {
      row: name,
      onnxruntime: ortVersion(),
      threads,
      parameters,
      nodes,
      movedMb,
      firstStepS,
      ...machine(),
      peer: torch.facts,
    };
    process.stdout.write(`${JSON.stringify({ ...facts, standings })}\n`);
    process.stdout.write(
      `${name}: ${describe(standings)}; first step after ${firstStepS.toFixed(1)} s, ${nodes} nodes that move ${movedMb.toFixed(0)} MB\n`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Only our side, for profiles: the median of `rounds` steps. */
async function runAlone(name: string, row: StepRow, { rounds, threads }: Options): Promise<void> {
  const { side, nodes } = await openOurs(row, threads);
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) times.push((await side.step()).ms);
  process.stdout.write(
    `${name}: ${Math.min(...times).toFixed(1)} ms best, ${median(times).toFixed(1)} median, ${nodes} nodes\n`,
  );
}

/** One process per row, so that the peak of memory is that row's. */
function eachInItsProcess(names: readonly string[]): void {
  const options = process.argv.slice(2).filter((argument) => !names.includes(argument));
  for (const name of names)
    execFileSync(process.execPath, [import.meta.filename, name, ...options], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '20' },
      threads: { type: 'string', default: '2' },
      python: { type: 'string', default: '/usr/bin/python3' },
      alone: { type: 'boolean', default: false },
    },
  });
  const whole = (name: 'rounds' | 'threads'): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`step: expected a whole number for --${name}, got ${values[name]}`);
    return value;
  };
  const options = { rounds: whole('rounds'), threads: whole('threads'), python: values.python };
  warnIfBusy(options.threads);
  const names = positionals.length > 0 ? positionals : Object.keys(stepRows);
  if (names.length > 1) return eachInItsProcess(names);
  const make = stepRows[names[0]!];
  if (make === undefined) throw new Error(`step: expected one of ${Object.keys(stepRows).join(', ')}, got ${names[0]}`);
  await (values.alone ? runAlone : runRow)(names[0]!, make(), options);
}

await main();
