import { join } from 'node:path';
import { type CheckpointOptions, checkpointCallback, prepareRunFolder, resumeFrom } from './checkpoint.node.ts';
import type { RunStore } from './create-learner.ts';

export interface RunFolderOptions extends Partial<Omit<CheckpointOptions, 'folder' | 'run'>> {
  /** Goes on from what is there; true when left out. Else what is there is written over. */
  readonly resume?: boolean;
  /** Words for the user, e.g. about a damaged checkpoint that was passed over. */
  readonly onNote?: (text: string) => void;
}

/**
 * Keeps a run in a folder: `checkpoint.safetensors`, all that is needed to go on exactly, every `intervalS` seconds (120)
 * and after every epoch; `best.safetensors`, the weights of the best epoch by `best.metric` (lowest `valid_loss`); the
 * checkpoints of the last `keep` epochs (0); `manifest.json`, written last, with the hash of each.
 */
export function runFolder(folder: string, options: RunFolderOptions = {}): RunStore {
  const { resume = true, intervalS = 120, onNote, best = { metric: 'valid_loss', higher: false }, ...rest } = options;
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
    part: (name) => runFolder(join(folder, name), options),
    callback: (run) => checkpointCallback({ ...rest, folder, run, intervalS, best }),
  };
}
