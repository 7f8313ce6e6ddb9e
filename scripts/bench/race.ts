import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

/** What one side answers to one step. */
export interface Turn {
  /** The loss before the update. */
  readonly loss: number;
  readonly ms: number;
  /** CPU time of all threads, waiting in a loop included. */
  readonly cpuMs: number;
  /** The process's peak memory so far. */
  readonly peakMb: number;
}

/** One contestant: something that takes training steps, one at a time. */
export interface Side {
  readonly name: string;
  step(): Promise<Turn>;
  close(): void;
}

/** Where one side stands after a race. */
export interface Standing {
  readonly name: string;
  readonly bestMs: number;
  readonly medianMs: number;
  readonly bestCpuMs: number;
  readonly peakMb: number;
  readonly firstLoss: number;
  readonly lastLoss: number;
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/**
 * Peak memory of this process in MB. Linux counts what the process that started this one had into `maxRSS`, so there it is asked
 * for the peak of this program's own memory.
 */
export function peakMb(): number {
  const status = '/proc/self/status';
  const own = existsSync(status) ? /VmHWM:\s*(\d+)/.exec(readFileSync(status, 'utf8'))?.[1] : undefined;
  return (own === undefined ? process.resourceUsage().maxRSS : Number(own)) / 1024;
}

/** Runs `step` and measures it. */
export async function timed(step: () => Promise<number>): Promise<Turn> {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const loss = await step();
  const { user, system } = process.cpuUsage(cpu);
  return { loss, ms: performance.now() - start, cpuMs: (user + system) / 1000, peakMb: peakMb() };
}

const standing = (name: string, turns: readonly Turn[]): Standing => ({
  name,
  bestMs: Math.min(...turns.map(({ ms }) => ms)),
  medianMs: median(turns.map(({ ms }) => ms)),
  bestCpuMs: Math.min(...turns.map(({ cpuMs }) => cpuMs)),
  peakMb: turns.at(-1)!.peakMb,
  firstLoss: turns[0]!.loss,
  lastLoss: turns.at(-1)!.loss,
});

export interface RaceOptions {
  readonly rounds: number;
  /** Rounds before those that count; 2 by default. */
  readonly warmUp?: number;
  /** How far a loss may be from the first side's, relative: at the first step, and later. */
  readonly tolerance?: readonly [number, number];
}

/**
 * Lets the sides take single steps in turn, with a pause in which the others' threads go to sleep. Throws unless all see the same loss: to 1e-4 before the first update; Adam divides by the gradient's size, so rounding
 * grows where gradients are near zero, and later losses are held to 5e-2, which a wrong update would not meet.
 */
export async function race(
  sides: readonly Side[],
  { rounds, warmUp = 2, tolerance = [1e-4, 5e-2] }: RaceOptions,
): Promise<Standing[]> {
  const turns = sides.map((): Turn[] => []);
  for (let round = -warmUp; round < rounds; round++) {
    const losses: number[] = [];
    for (const [i, side] of sides.entries()) {
      const turn = await side.step();
      losses.push(turn.loss);
      if (round >= 0) turns[i]!.push(turn);
      await pause(60);
    }
    checkSame(sides, losses, tolerance[round === -warmUp ? 0 : 1], round + warmUp + 1);
  }
  return turns.map((all, i) => standing(sides[i]!.name, all));
}

function checkSame(sides: readonly Side[], losses: readonly number[], tolerance: number, step: number): void {
  const off = losses.findIndex((loss) => !(Math.abs(loss - losses[0]!) <= tolerance * Math.abs(losses[0]!)));
  if (off === -1) return;
  throw new Error(
    `race: expected equal losses at step ${step}, got ${losses[0]} from ${sides[0]!.name} and ${losses[off]} from ${sides[off]!.name}; they train different nets`,
  );
}

/** One line per side, the ratios against the first one at the end. */
export function describe(standings: readonly Standing[]): string {
  const [ours, ...others] = standings;
  const line = (s: Standing): string =>
    `${s.name} ${s.bestMs.toFixed(1)} ms best, ${s.medianMs.toFixed(1)} median, ${s.peakMb.toFixed(0)} MB peak`;
  const ratios = others.map(
    (other) =>
      `${other.name}/${ours!.name} ${(other.bestMs / ours!.bestMs).toFixed(2)} best, ${(other.medianMs / ours!.medianMs).toFixed(2)} median, memory ${(ours!.peakMb / other.peakMb).toFixed(2)}`,
  );
  return [...standings.map(line), ...ratios].join('; ');
}

/** Facts about the machine that belong beside every time. */
export const machine = () => ({ cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg()[0]! });

/** States on stderr that this machine is too busy for `threads` threads of each side. */
export function warnIfBusy(threads: number): void {
  const { load, cores } = machine();
  if (load + threads > cores + 0.5)
    process.stderr.write(`the load is already ${load.toFixed(1)} on ${cores} cores; expect a wrong ratio\n`);
}
