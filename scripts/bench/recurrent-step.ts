/*
 * One training step (forward, backward, optimiser) of a language model, fettle on the CPU beside PyTorch, turn by turn in one run.
 * First without dropouts: both sides start from the same weights and must see the same losses. Then with them, timed.
 *
 *     npm run build:ts && node dist/scripts/bench/recurrent-step.js [gru] [awd-lstm] [--rounds 20] [--threads 2] [--python /usr/bin/python3]
 *
 * `--alone` leaves PyTorch out.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileOptimizer, compileStep } from '../../training/loop/compile.ts';
import { optimizers } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState, type TrainState } from '../../training/step/state.ts';
import { openPeer } from './peer.ts';
import { describe, machine, median, race, type Side, timed, warnIfBusy } from './race.ts';
import { type RecurrentRow, recurrentRows } from './recurrent-rows.ts';

interface Ours {
  readonly side: Side;
  readonly state: TrainState;
  /** Seconds from nothing to the end of the first step. */
  readonly firstStepS: number;
  readonly nodes: number;
  release(): Promise<void>;
}

async function openOurs(row: RecurrentRow, threads: number): Promise<Ours> {
  const begin = performance.now();
  const open = (model: Uint8Array) => openSession(model, { threads });
  const def = optimizers[row.optimizer];
  const step = await compileStep(row.task, open);
  const state = createState(step.graphs.specs, { optimizer: def });
  const restart = (): void => {
    initState(state, 1);
    for (const moment of state.moments) moment.fill(0);
    state.step = 0;
  };
  restart();
  const optimizer = await compileOptimizer(def, state, open);
  const once = async (): Promise<number> => {
    const loss = await step.gradients(state, row.batch, { seed: 1 });
    await optimizer.update(state, row.hyper);
    return loss;
  };
  await once();
  const firstStepS = (performance.now() - begin) / 1000;
  restart();
  const side: Side = { name: 'fettle', step: () => timed(once), close: () => undefined };
  const release = async (): Promise<void> => {
    await step.release();
    await optimizer.release();
  };
  return { side, state, firstStepS, nodes: step.graphs.training.nodes.length, release };
}

interface Options {
  readonly rounds: number;
  readonly threads: number;
  readonly python: string;
}

/** `tolerance` Infinity where the losses hang on random numbers. */
async function raceRow(row: RecurrentRow, { rounds, threads, python }: Options, tolerance?: readonly [number, number]) {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-bench-'));
  try {
    const { side, state, firstStepS, nodes, release } = await openOurs(row, threads);
    const { net, config, optimizer, hyper, batch } = row;
    const settings = { net, config, optimizer, hyper, weights: state.tensors, batch, threads };
    const torch = await openPeer('torch_recurrent.py', settings, { python, folder });
    const standings = await race([side, torch], { rounds, ...(tolerance === undefined ? {} : { tolerance }) });
    torch.close();
    await release();
    return { standings, firstStepS, nodes, parameters: state.params.length, peer: torch.facts };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The first losses of both sides without dropouts. */
async function firstLosses(name: string, options: Options): Promise<readonly number[]> {
  const { standings } = await raceRow(recurrentRows[name]!.same(), { ...options, rounds: 1 });
  return standings.map(({ firstLoss }) => firstLoss);
}

/** {@link firstLosses} in a process of its own: peak memory of this one is that of the timed steps. */
function firstLossesApart(name: string, { threads, python }: Options): readonly number[] {
  const args = [fileURLToPath(import.meta.url), name, '--losses', '--threads', String(threads), '--python', python];
  const output = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(output) as readonly number[];
}

async function runRow(name: string, options: Options): Promise<void> {
  const checked = firstLossesApart(name, options);
  const row = recurrentRows[name]!.timed();
  const result = await raceRow(row, options, [Infinity, Infinity]);
  const { standings, firstStepS, nodes } = result;
  process.stdout.write(
    `${JSON.stringify({ row: name, threads: options.threads, ...machine(), ...result, checked })}\n`,
  );
  const tokens = row.batch.x!.data.length;
  const perSecond = standings.map((side) => `${side.name} ${((1000 * tokens) / side.medianMs).toFixed(0)}`).join(', ');
  process.stdout.write(
    `${name}: ${describe(standings)}; tokens/s by the median: ${perSecond}; first step after ${firstStepS.toFixed(2)} s, ${nodes} nodes; losses without dropout ${checked.map((loss) => loss.toFixed(5)).join(' and ')}\n`,
  );
}

/** Only our side, for profiles. */
async function runAlone(name: string, { rounds, threads }: Options): Promise<void> {
  const { side, nodes, firstStepS } = await openOurs(recurrentRows[name]!.timed(), threads);
  const turns = [];
  for (let i = 0; i < rounds; i++) turns.push(await side.step());
  const ms = turns.map((turn) => turn.ms);
  process.stdout.write(
    `${name}: ${Math.min(...ms).toFixed(1)} ms best, ${median(ms).toFixed(1)} median, first step after ${firstStepS.toFixed(2)} s, ${turns.at(-1)!.peakMb.toFixed(0)} MB peak, ${nodes} nodes\n`,
  );
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '20' },
      threads: { type: 'string', default: '2' },
      python: { type: 'string', default: '/usr/bin/python3' },
      alone: { type: 'boolean', default: false },
      losses: { type: 'boolean', default: false },
    },
  });
  const options = { rounds: Number(values.rounds), threads: Number(values.threads), python: values.python };
  warnIfBusy(options.threads);
  for (const name of positionals.length > 0 ? positionals : Object.keys(recurrentRows)) {
    if (!(name in recurrentRows))
      throw new Error(`recurrent-step: expected ${Object.keys(recurrentRows).join(' or ')}, got ${name}`);
    if (values.losses) process.stdout.write(`${JSON.stringify(await firstLosses(name, options))}\n`);
    else await (values.alone ? runAlone : runRow)(name, options);
  }
}

await main();
