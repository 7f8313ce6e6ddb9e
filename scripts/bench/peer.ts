import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Tensor } from '../../training/core/tensor.ts';
import { rootDir } from '../repo/source-files.ts';
import type { Side, Turn } from './race.ts';

/*
 * The PyTorch side of a race: a Python script in a process of its own that answers every line on stdin with one line of JSON.
 */

/** The input of the script: tensors by name, and whatever else it needs. */
export interface PeerSettings {
  readonly weights: Iterable<readonly [string, Tensor<'float32'>]>;
  readonly batch: Readonly<Record<string, Tensor>>;
  readonly threads: number;
  readonly [key: string]: unknown;
}

/** Writes the tensors' bytes one after the other, and what they are as JSON; returns the path of the JSON. */
function handOver(folder: string, { weights, batch, ...rest }: PeerSettings): string {
  const tensors = [...[...weights].map(([name, tensor]) => [`weights/${name}`, tensor] as const)];
  const all: (readonly [string, Tensor])[] = [
    ...tensors,
    ...Object.entries(batch).map(([name, t]) => [`batch/${name}`, t] as const),
  ];
  let offset = 0;
  const refs = all.map(([name, { dims, dtype, data }]) => {
    const ref = { name, dims, dtype, offset };
    offset += data.byteLength;
    return ref;
  });
  const bytes = new Uint8Array(offset);
  all.forEach(([, { data }], i) => {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), refs[i]!.offset);
  });
  const data = join(folder, 'data.bin');
  writeFileSync(data, bytes);
  const settings = join(folder, 'settings.json');
  writeFileSync(settings, JSON.stringify({ ...rest, tensors: refs, data }));
  return settings;
}

export interface Peer extends Side {
  /** What the script reported when it was ready: versions, and what it is linked with. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Sends one line, `bytes` behind it, and reads the answer. */
  ask(line: string, bytes?: Uint8Array): Promise<Record<string, unknown>>;
}

/** Starts `script` (a file beside this one) with `python` and waits until it is ready. */
export async function openPeer(
  script: string,
  settings: PeerSettings,
  { python, folder }: { readonly python: string; readonly folder: string },
): Promise<Peer> {
  const threads = String(settings.threads);
  const env = { ...process.env, OMP_NUM_THREADS: threads, OPENBLAS_NUM_THREADS: threads };
  const path = join(rootDir, 'scripts', 'bench', script);
  const child = spawn(python, [path, handOver(folder, settings)], { stdio: ['pipe', 'pipe', 'inherit'], env });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next();
    if (done)
      throw new Error(`${script}: expected an answer from ${python}, got its end; is PyTorch installed for it?`);
    return JSON.parse(value) as Record<string, unknown>;
  };
  const ask = (line: string, bytes?: Uint8Array): Promise<Record<string, unknown>> => {
    child.stdin.write(`${line}\n`);
    if (bytes !== undefined) child.stdin.write(bytes);
    return read();
  };
  const facts = await read();
  return {
    name: `PyTorch ${String(facts.torch)}`,
    facts,
    ask,
    step: async () => (await ask('step')) as unknown as Turn,
    close: () => child.stdin.end(),
  };
}
