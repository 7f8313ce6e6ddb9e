import { join } from 'node:path';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import type { RunStore } from '../learner/learner.ts';
import { type CheckpointOptions, checkpointCallback, prepareRunFolder, resumeFrom } from './checkpoint.node.ts';

export interface RunFolderOptions extends Partial<Omit<CheckpointOptions, 'folder' | 'run'>> {
  /** Continues from what is there; true by default. Else what is there is written over. */
  readonly resume?: boolean;
  /** Words for the user: about a damaged checkpoint that was skipped, or a run that is finished; on stderr by default. */
  readonly onNote?: (text: string) => void;
}

const optionNames = namesOf<RunFolderOptions>({ resume: true, onNote: true, intervalS: true, best: true, keep: true });

const report = (text: string): void => void process.stderr.write(`${text}\n`);

/**
 * Keeps a run in a folder: `checkpoint.safetensors`, all that is needed to continue exactly, every `intervalS` seconds (120)
 * and after every epoch; `best.safetensors`, the weights of the best epoch by `best.metric` (lowest `valid_loss`, or `train_loss` without validation); the
 * checkpoints of the last `keep` epochs (0); `manifest.json`, written last, with the hash of each.
 */
export function runFolder(folder: string, options: RunFolderOptions = {}): RunStore {
  knownKeys('runFolder', options, optionNames);
  const { resume = true, intervalS = 120, onNote = report, ...rest } = options;
  let release: (() => Promise<void>) | undefined;
  return {
    async begin(state, run) {
      const letGo = await prepareRunFolder(folder);
      try {
        const progress = resume ? await resumeFrom(folder, state, run, onNote) : undefined;
        release = letGo;
        return progress;
      } catch (error) {
        await letGo();
        throw error;
      }
    },
    async end() {
      await release?.();
      release = undefined;
    },
    note: (text) => onNote(`${folder}: ${text}`),
    part: (name) => runFolder(join(folder, name), options),
    callback: (run) => checkpointCallback({ ...rest, folder, run, intervalS }),
  };
}
