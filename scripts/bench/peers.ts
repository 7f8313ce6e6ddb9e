/*
 * One training step of a net beside JavaScript's other trainers, turn by turn: fettle on onnxruntime-node and on WebAssembly, ONNX
 * Runtime 1.19.2's own TrainingSession (WebAssembly) on our artifacts, and TensorFlow.js where it has the gradients. All begin with the
 * same weights, train with Adam on the same batch and must see the same losses; each has a process of its own.
 *
 *     npm run build:ts && node dist/scripts/bench/peers.js [row ...] [--rounds 20] [--threads 2] [--sides node,wasm,ort] [--tfjs DIR]
 *
 * Sides are node, wasm, ort, tfjs-wasm, tfjs-cpu. TensorFlow.js has one thread in Node; it is looked for in DIR, and how to put it there
 * is reported when it is missing.
 */
import { execFileSync, fork } from 'node:child_process';
import { join } from 'node:path';
import { benchOptions, inFolder } from './options.ts';
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

interface PeerSide extends Side {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly parameters: number;
}

async function openSide(row: string, kind: Kind, threads: number, folder: string): Promise<PeerSide> {
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
    name: titles[kind],
    facts,
    parameters,
    step: async () => {
      child.send('step');
      return (await answer('turn')).turn;
    },
    close: () => void child.kill(),
  };
}

interface Options {
  readonly rounds: number;
  readonly threads: number;
  readonly sides: readonly Kind[];
  readonly tfjs: string;
}

const isTfjs = (kind: Kind): boolean => kind.startsWith('tfjs');

/** Those that can be opened; of the others it states why not. */
async function openSides(row: string, { sides, threads, tfjs }: Options, artifacts: string): Promise<PeerSide[]> {
  const opened: PeerSide[] = [];
  for (const kind of sides) {
    try {
      opened.push(await openSide(row, kind, threads, isTfjs(kind) ? tfjs : artifacts));
    } catch (error) {
      process.stdout.write(`${row}: ${titles[kind]} cannot: ${(error as Error).message.trim()}\n`);
    }
  }
  const counts = new Set(opened.map(({ parameters }) => parameters));
  if (counts.size !== 1) throw new Error(`${row}: expected as many parameters everywhere, got ${[...counts]}`);
  return opened;
}

async function runRow(row: string, options: Options, folder: string): Promise<void> {
  const opened: PeerSide[] = [];
  try {
    if (options.sides.includes('ort'))
      execFileSync(process.execPath, [childFile, row, 'artifacts', '1', folder], { stdio: 'inherit' });
    opened.push(...(await openSides(row, options, folder)));
    // V8 compiles WebAssembly a second time, for speed, while the first steps run.
    const { rounds, threads } = options;
    const { firstTolerance = 1e-4 } = peerRows[row]!();
    const standings = await race(opened, { rounds, warmUp: 4, tolerance: [firstTolerance, 5e-2] });
    const facts = opened.map(({ name, facts: own }) => ({ name, ...own }));
    const { parameters } = opened[0]!;
    process.stdout.write(`${JSON.stringify({ row, rounds, threads, parameters, ...machine(), facts, standings })}\n`);
    process.stdout.write(`${row}: ${describe(standings)}\n`);
  } finally {
    for (const side of opened) side.close();
  }
}

function parseSides(text: string): Kind[] {
  const kinds = text.split(',');
  const unknown = kinds.filter((kind) => !(kind in titles));
  if (unknown.length > 0) throw new Error(`--sides: expected ${Object.keys(titles)}, got ${unknown}`);
  return kinds as Kind[];
}

async function main(): Promise<void> {
  const defaults = { rounds: 20, threads: 2, sides: Object.keys(titles).join(), tfjs: '' };
  const { rows, rounds, threads, ...values } = benchOptions(defaults, Object.keys(peerRows));
  const all = parseSides(values.sides);
  if (values.tfjs !== '') checkTfjs(values.tfjs);
  else if (all.some(isTfjs))
    process.stderr.write(`without --tfjs DIR there is no TensorFlow.js; to put it there: ${tfjsInstall('DIR')}\n`);
  warnIfBusy(threads);
  for (const row of rows) {
    const sides = all.filter((kind) => !isTfjs(kind) || (values.tfjs !== '' && tfjsRows.has(row)));
    await inFolder((folder) => runRow(row, { rounds, threads, sides, tfjs: values.tfjs }, folder));
  }
}

await main();
