/*
 * One training step of a net beside JavaScript's other trainers, turn by turn: fettle on onnxruntime-node and on WebAssembly, ONNX
 * Runtime 1.19.2's own TrainingSession (WebAssembly) on our artifacts, and TensorFlow.js where it has the gradients. All begin with the
 * same weights, train with Adam on the same batch and must see the same losses; each has a process of its own.
 *
 *     npm run build:ts && node dist/scripts/bench/peers.js [row ...] [--rounds 20] [--sides node:2,wasm:1,ort:1] [--tfjs DIR]
 *
 * A side is a kind and its threads: node, wasm, ort, tfjs-wasm, tfjs-cpu. TensorFlow.js is looked for in DIR; how to put it there is
 * said when it is missing.
 */
import { execFileSync, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ChildMessage, Kind } from './peers-child.ts';
import { peerRows } from './peers-rows.ts';
import { checkTfjs, tfjsInstall, tfjsRows } from './peers-tfjs.ts';
import { describe, machine, race, type Side, warnIfBusy } from './race.ts';

const childFile = join(import.meta.dirname, 'peers-child.js');
const titles: Readonly<Record<Kind, string>> = {
  node: 'fettle, onnxruntime-node',
  wasm: 'fettle, wasm',
  ort: 'TrainingSession',
  'tfjs-wasm': 'tfjs wasm',
  'tfjs-cpu': 'tfjs cpu',
};

interface Contestant {
  readonly kind: Kind;
  readonly threads: number;
}

interface PeerSide extends Side {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly parameters: number;
}

async function openSide(row: string, { kind, threads }: Contestant, folder: string): Promise<PeerSide> {
  const child = fork(childFile, [row, kind, String(threads), folder]);
  let settle: (message: ChildMessage) => void = () => undefined;
  child.on('message', (message: ChildMessage) => settle(message));
  child.on('exit', (code, signal) => settle({ kind: 'failure', text: `its process ended with ${code ?? signal}` }));
  const answer = async <K extends ChildMessage['kind']>(wanted: K): Promise<Extract<ChildMessage, { kind: K }>> => {
    const message = await new Promise<ChildMessage>((resolve) => {
      settle = resolve;
    });
    if (message.kind === wanted) return message as Extract<ChildMessage, { kind: K }>;
    child.kill();
    throw new Error(message.kind === 'failure' ? message.text : `peers: expected ${wanted}, got ${message.kind}`);
  };
  const { facts, parameters } = await answer('open');
  return {
    name: `${titles[kind]} (${threads})`,
    facts,
    parameters,
    step: async () => {
      child.send('step');
      return (await answer('turn')).turn;
    },
    close: () => void child.kill(),
  };
}

/** Those that can be opened; of the others it says why not. */
async function openSides(
  row: string,
  sides: readonly Contestant[],
  folders: Record<Kind, string>,
): Promise<PeerSide[]> {
  const opened: PeerSide[] = [];
  for (const side of sides) {
    try {
      opened.push(await openSide(row, side, folders[side.kind]));
    } catch (error) {
      process.stdout.write(`${row}: ${titles[side.kind]} (${side.threads}) cannot: ${(error as Error).message}\n`);
    }
  }
  const counts = new Set(opened.map(({ parameters }) => parameters));
  if (counts.size !== 1) throw new Error(`${row}: expected as many parameters everywhere, got ${[...counts]}`);
  return opened;
}

interface Options {
  readonly rounds: number;
  readonly sides: readonly Contestant[];
  readonly tfjs: string;
}

async function runRow(row: string, { rounds, sides, tfjs }: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-bench-'));
  const opened: PeerSide[] = [];
  try {
    if (sides.some(({ kind }) => kind === 'ort'))
      execFileSync(process.execPath, [childFile, row, 'artifacts', '1', folder], { stdio: 'inherit' });
    const folders = { node: folder, wasm: folder, ort: folder, 'tfjs-wasm': tfjs, 'tfjs-cpu': tfjs };
    opened.push(...(await openSides(row, sides, folders)));
    // V8 compiles WebAssembly a second time, for speed, while the first steps run.
    const standings = await race(opened, { rounds, warmUp: 4 });
    const facts = opened.map(({ name, facts: own }) => ({ name, ...own }));
    const { parameters } = opened[0]!;
    process.stdout.write(`${JSON.stringify({ row, rounds, parameters, ...machine(), facts, standings })}\n`);
    process.stdout.write(`${row}: ${describe(standings)}\n`);
  } finally {
    for (const side of opened) side.close();
    rmSync(folder, { recursive: true });
  }
}

const hasTfjs = ({ kind }: Contestant): boolean => kind.startsWith('tfjs');

function parseSides(text: string): Contestant[] {
  return text.split(',').map((one) => {
    const [kind = '', threads = '1'] = one.split(':');
    if (!(kind in titles)) throw new Error(`--sides: expected ${Object.keys(titles)}, got ${kind}`);
    return { kind: kind as Kind, threads: Number(threads) };
  });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '20' },
      sides: { type: 'string', default: 'node:2,wasm:2,wasm:1,ort:2,ort:1,tfjs-wasm:1,tfjs-cpu:1' },
      tfjs: { type: 'string', default: '' },
    },
  });
  const names = positionals.length > 0 ? positionals : Object.keys(peerRows);
  const unknown = names.filter((name) => !(name in peerRows));
  if (unknown.length > 0) throw new Error(`peers: expected rows of ${Object.keys(peerRows)}, got ${unknown}`);
  const all = parseSides(values.sides);
  if (values.tfjs !== '') checkTfjs(values.tfjs);
  else if (all.some(hasTfjs))
    process.stderr.write(`without --tfjs DIR there is no TensorFlow.js; to put it there: ${tfjsInstall('DIR')}\n`);
  warnIfBusy(Math.max(...all.map(({ threads }) => threads)));
  for (const row of names) {
    const sides = all.filter((side) => !hasTfjs(side) || (values.tfjs !== '' && tfjsRows.has(row)));
    await runRow(row, { rounds: Number(values.rounds), sides, tfjs: values.tfjs });
  }
}

await main();
