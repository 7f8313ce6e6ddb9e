import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { workerData } from 'node:worker_threads';
import { messageOf } from '../core/errors.ts';
import { createRng } from '../core/rng.ts';
import { serveTasks } from '../core/worker-pool.node.ts';
import { applyDamages, damagedJpeg, parseDamages } from '../pictures/damage/registry.node.ts';
import { decodeRgb } from '../pictures/decode.node.ts';

/** What a thread knows from its start. */
export interface CrappifyThreadData {
  readonly damage: string;
  readonly seed: number;
}

/** One picture to damage; `name` keys the random choices. */
export interface CrappifyTask {
  readonly name: string;
  readonly path: string;
  readonly outputPath: string;
}

const { damage, seed } = workerData as CrappifyThreadData;
const damages = parseDamages(damage);

/** Answers with the reason if the picture cannot be read, undefined when its damaged copy is on disk. */
serveTasks<CrappifyTask, string | undefined>(async ({ name, path, outputPath }) => {
  let bytes: Uint8Array;
  try {
    const damaged = await applyDamages(damages, await decodeRgb(path), createRng(seed, 'crappify', name));
    ({ bytes } = await damagedJpeg(damaged));
  } catch (error) {
    return { result: messageOf(error) };
  }
  await mkdir(dirname(outputPath), { recursive: true });
  // A picture is there whole or not at all, so what exists need not be made again.
  await writeFile(`${outputPath}.part`, bytes);
  await rename(`${outputPath}.part`, outputPath);
  return { result: undefined };
});
