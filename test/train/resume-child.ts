import { open } from 'node:fs/promises';
import { runRestore } from '../../tasks/restore/recipe.node.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { smallRun } from '../helpers/small-restore.ts';

/*
 * A training in a process of its own, to be killed. Prints `batch STEP` after each batch (its checkpoint, if one was due,
 * is on disk by then) and `done` at the end.
 */

export interface ChildOptions {
  readonly data: string;
  readonly out: string;
  readonly resume: boolean;
  readonly intervalS: number;
  readonly workers: number;
  /** Kills the process (SIGKILL) in the middle of the n-th write to disk: the file is written, but not renamed yet. */
  readonly dieInWrite?: number;
}

/** From now on the n-th fsync kills the process. */
async function killAtSync(n: number): Promise<void> {
  const file = await open('/dev/null', 'r');
  const handle = Object.getPrototypeOf(file) as { sync: () => Promise<void> };
  await file.close();
  const { sync } = handle;
  let count = 0;
  handle.sync = function (this: unknown) {
    count += 1;
    if (count === n) process.kill(process.pid, 'SIGKILL');
    return sync.call(this);
  };
}

const { data, out, resume, intervalS, workers, dieInWrite } = JSON.parse(process.argv[2]!) as ChildOptions;
if (dieInWrite !== undefined) await killAtSync(dieInWrite);
await runRestore({
  config: smallRun,
  data,
  out,
  resume,
  workers,
  checkpointIntervalS: intervalS,
  open: (model) => openSession(model, { threads: 1 }),
  callbacks: [
    { name: 'say', order: 200, afterBatch: ({ state }) => void process.stdout.write(`batch ${state.step}\n`) },
  ],
});
process.stdout.write('done\n');
