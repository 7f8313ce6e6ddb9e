/*
 * One training step (forward, backward, optimiser) of a net, fettle on the CPU beside PyTorch, turn by turn in one run. Both start
 * from the same weights and must report the same losses. Run it on a quiet machine: with fewer free cores than threads
 * PyTorch's threads wait for each other, and the ratio means nothing.
 *
 *     npm run build:ts && node dist/scripts/bench/step.js [row ...] [--rounds 20] [--threads 2] [--python /usr/bin/python3]
 */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { sizeOf } from '../../training/core/tensor.ts';
import type { Graph, Value } from '../../training/onnx/graph.ts';
import { adam } from '../../training/optim/optimizers.ts';
import { benchOptions, inFolder, raceDefaults } from './options.ts';
import { type Ours, openOurs, runAlone } from './ours.ts';
import { openPeer } from './peer.ts';
import { describe, machine, race, warnIfBusy } from './race.ts';
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

interface Options {
  readonly rounds: number;
  readonly threads: number;
  readonly python: string;
}

const openRow = (row: StepRow, threads: number): Promise<Ours> => openOurs(row, { optimizer: adam, hyper, threads });

const runRow = (name: string, row: StepRow, { rounds, threads, python }: Options): Promise<void> =>
  inFolder(async (folder) => {
    const ours = await openRow(row, threads);
    const { net, config, batch } = row;
    const settings = { net, config, weights: ours.state.tensors, batch, adam: hyper, threads };
    const torch = await openPeer('torch_step.py', settings, { python, folder });
    const standings = await race([ours, torch], { rounds }).finally(() => torch.close());
    const [nodes, moved, { firstStepS }] = [ours.training.nodes.length, movedMb(ours.training), ours];
    const facts = { onnxruntime: ortVersion(), threads, parameters: ours.state.params.length, nodes, movedMb: moved };
    const all = { row: name, ...facts, firstStepS, ...machine(), peer: torch.facts, standings };
    process.stdout.write(`${JSON.stringify(all)}\n`);
    process.stdout.write(
      `${name}: ${describe(standings)}; first step after ${firstStepS.toFixed(1)} s, ${nodes} nodes that move ${moved.toFixed(0)} MB\n`,
    );
  });

/** One process per row, so that the peak of memory is that row's. */
function eachInItsProcess(names: readonly string[]): void {
  const options = process.argv.slice(2).filter((argument) => !names.includes(argument));
  for (const name of names)
    execFileSync(process.execPath, [import.meta.filename, name, ...options], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
}

async function main(): Promise<void> {
  const { rows, alone, ...options } = benchOptions({ ...raceDefaults, alone: false }, Object.keys(stepRows));
  warnIfBusy(options.threads);
  if (rows.length > 1) return eachInItsProcess(rows);
  const name = rows[0]!;
  const row = stepRows[name]!();
  if (alone) await runAlone(name, await openRow(row, options.threads), options.rounds);
  else await runRow(name, row, options);
}

await main();
