import { writeSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { weightsFile } from '../../training/learner/export.ts';
import { createLearner } from '../../training/learner/learner.ts';
import type { Progress } from '../../training/loop/recorder.ts';
import { runFolder } from '../../training/runs/run-folder.node.ts';
import { demanding, spiralOptions } from '../helpers/tiny-tasks.ts';

/*
 * A small training in a process of its own, to be killed. It states where it begins (`from STEP`), each update that is on
 * disk (`saved STEP`), and `done` at the end. With `hold` it states `in <operation> <file>` when a save comes to such an
 * operation, and stays there until it is killed.
 */

export interface KillChildOptions {
  readonly out: string;
  readonly epochs: number;
  /** Longest time between two checkpoints in an epoch, seconds. */
  readonly intervalS: number;
  readonly hold?: {
    /** Updates of the run that are done before. */
    readonly step: number;
    /** Beginning of `<operation> <file>`. */
    readonly at: string;
  };
}

const { out, epochs, intervalS, hold } = JSON.parse(process.argv[2]!) as KillChildOptions;
const say = (text: string): void => void writeSync(1, `${text}\n`);
let step = 0;

const nameOf = (operation: string, path: string): string => `${operation} ${basename(path).replace(/\.\d+\.tmp$/, '')}`;

/** Whether this is the operation to be killed in. */
const isHere = (operation: string, path: string): boolean =>
  hold !== undefined && step >= hold.step && nameOf(operation, path).startsWith(hold.at);

/** States where it is, and stays there for good. */
async function stay(operation: string, path: string): Promise<void> {
  say(`in ${nameOf(operation, path)}`);
  setInterval(() => {}, 1000);
  await new Promise(() => {});
}

/** Lets the process stay before each thing that a save does to files; in a write, with half of the bytes written. */
function watchFiles(): void {
  const { open, rename, link } = fs;
  fs.rename = async (from, to) => {
    if (isHere('rename', String(to))) await stay('rename', String(to));
    return rename(from, to);
  };
  fs.link = async (from, to) => {
    if (isHere('link', String(to))) await stay('link', String(to));
    return link(from, to);
  };
  fs.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    const { writeFile, sync } = handle;
    handle.writeFile = async (data, ...more) => {
      const bytes = Buffer.from(data as Uint8Array);
      if (isHere('write', String(path))) {
        await handle.write(bytes, 0, Math.floor(bytes.length / 2));
        await stay('write', String(path));
      }
      return writeFile.call(handle, bytes, ...more);
    };
    handle.sync = async () => {
      if (isHere('sync', String(path))) await stay('sync', String(path));
      return sync.call(handle);
    };
    return handle;
  };
  // So that modules which have imported these by name get them too.
  syncBuiltinESMExports();
}

if (hold !== undefined) watchFiles();
const learner = await createLearner(spiralOptions(demanding()));
await learner.fitOneCycle(epochs, 0.02, {
  store: runFolder(out, { intervalS, keep: 2, onNote: (text) => say(`note ${text}`) }),
  callbacks: [
    {
      name: 'say',
      // After the checkpoint.
      order: 200,
      beforeFit: ({ state }) => {
        step = state.step;
        say(`from ${step}`);
      },
      afterBatch: ({ state, updated }) => {
        step = state.step;
        if (updated) say(`saved ${step}`);
      },
    },
  ],
});
await learner.close();
const untimed = ({ rows }: Pick<Progress, 'rows'>): readonly unknown[] => rows.map(({ seconds: _, ...row }) => row);
const { history } = learner;
await fs.writeFile(`${out}.json`, JSON.stringify({ rows: untimed(history), series: history.series }));
await fs.writeFile(`${out}.safetensors`, weightsFile(learner));
say('done');
