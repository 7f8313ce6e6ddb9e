/*
 * One training step (forward, backward, optimiser) of a language model, fettle on the CPU beside PyTorch, turn by turn in one run.
 * First without dropouts: both sides start from the same weights and must see the same losses. Then with them, timed.
 *
 *     npm run build:ts && node dist/scripts/bench/recurrent-step.js [gru] [awd-lstm] [--rounds 20] [--threads 2] [--python /usr/bin/python3]
 *
 * `--alone` leaves PyTorch out.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { optimizers } from '../../training/optim/optimizers.ts';
import { benchOptions, inFolder, raceDefaults } from './options.ts';
import { type Ours, openOurs, runAlone } from './ours.ts';
import { openPeer } from './peer.ts';
import { describe, machine, race, warnIfBusy } from './race.ts';
import { type RecurrentRow, recurrentRows } from './recurrent-rows.ts';

const openRow = (row: RecurrentRow, threads: number): Promise<Ours> =>
  openOurs(row, { optimizer: optimizers[row.optimizer], hyper: row.hyper, threads });

interface Options {
  readonly rounds: number;
  readonly threads: number;
  readonly python: string;
}

/** `tolerance` Infinity where the losses hang on random numbers. */
const raceRow = (row: RecurrentRow, { rounds, threads, python }: Options, tolerance?: readonly [number, number]) =>
  inFolder(async (folder) => {
    const ours = await openRow(row, threads);
    const { state, firstStepS } = ours;
    const { net, config, optimizer, hyper, batch } = row;
    const settings = { net, config, optimizer, hyper, weights: state.tensors, batch, threads };
    const torch = await openPeer('torch_recurrent.py', settings, { python, folder });
    const standings = await race([ours, torch], { rounds, ...(tolerance === undefined ? {} : { tolerance }) });
    torch.close();
    await ours.release();
    const nodes = ours.training.nodes.length;
    return { standings, firstStepS, nodes, parameters: state.params.length, peer: torch.facts };
  });

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

async function main(): Promise<void> {
  const names = Object.keys(recurrentRows);
  const { rows, alone, losses, ...options } = benchOptions({ ...raceDefaults, alone: false, losses: false }, names);
  warnIfBusy(options.threads);
  for (const name of rows) {
    if (losses) process.stdout.write(`${JSON.stringify(await firstLosses(name, options))}\n`);
    else if (alone) await runAlone(name, await openRow(recurrentRows[name]!.timed(), options.threads), options.rounds);
    else await runRow(name, options);
  }
}

await main();
