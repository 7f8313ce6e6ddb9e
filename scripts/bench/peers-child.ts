/* One side of peers.ts in a process of its own: `peers-child.js <row> <kind> <threads> <folder>`, then a turn for every message. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../training/core/errors.ts';
import { peerRows } from './peers-rows.ts';
import { artifactsOf, openOnNode, openOnWasm, openOrtTraining, type Trainer } from './peers-sides.ts';
import { type Turn, timed } from './race.ts';

export type Kind = 'node' | 'wasm' | 'ort' | 'tfjs-wasm' | 'tfjs-cpu';

/** What the process states: once that it is open, then one turn after the other; or why it cannot. */
export type ChildMessage =
  | { readonly kind: 'open'; readonly facts: Trainer['facts']; readonly parameters: number }
  | { readonly kind: 'turn'; readonly turn: Turn }
  | { readonly kind: 'failure'; readonly text: string };

const [name, kind, threadsText, folder] = process.argv.slice(2) as [string, Kind | 'artifacts', string, string];
const threads = Number(threadsText);
const row = peerRows[name]!();
const send = (message: ChildMessage): void => void process.send!(message);
// It throws the address of a C++ exception where it has no text.
async function open(side: Kind): Promise<Trainer> {
  if (side === 'node') return openOnNode(row, threads);
  if (side === 'wasm') return openOnWasm(row, threads);
  if (side === 'ort') return openOrtTraining(row, { folder, threads });
  const { openTfjs } = await import('./peers-tfjs.ts');
  return openTfjs(name, row, side === 'tfjs-wasm' ? 'wasm' : 'cpu', { folder, threads });
}

async function serve(side: Kind): Promise<void> {
  const { facts, parameters, step } = await open(side);
  process.on('message', () => {
    timed(step).then(
      (turn) => send({ kind: 'turn', turn }),
      (error: unknown) => send({ kind: 'failure', text: messageOf(error) }),
    );
  });
  process.once('disconnect', () => process.exit());
  send({ kind: 'open', facts, parameters });
}

if (kind === 'artifacts')
  for (const [file, bytes] of Object.entries(artifactsOf(row))) writeFileSync(join(folder, file), bytes);
else await serve(kind).catch((error: unknown) => send({ kind: 'failure', text: messageOf(error) }));
