import { probeModel } from './probe.ts';
import type { DeviceMemory, Session } from './session.ts';

type Open = (model: Uint8Array) => Promise<Session>;

const answers = new WeakMap<Open, Promise<DeviceMemory | undefined>>();

async function ask(open: Open): Promise<DeviceMemory | undefined> {
  const session = await open(probeModel());
  await session.release();
  return session.memory;
}

/**
 * memoryOf: the memory of the device on which `open` opens graphs; undefined where there is none of its own, or no way to it. Each
 * opener is asked once, by a graph of one node: what is opened for memory is another graph than what is opened without, and a GPU
 * takes long to compile either.
 */
export function memoryOf(open: Open): Promise<DeviceMemory | undefined> {
  const known = answers.get(open);
  if (known !== undefined) return known;
  const asked = ask(open);
  answers.set(open, asked);
  // A device that was not there may be there next time.
  asked.catch(() => answers.delete(open));
  return asked;
}
