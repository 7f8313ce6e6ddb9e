import {
  type CheckpointOptions,
  checkpointCallback,
  prepareRunFolder,
  readLatest,
  restoreCheckpoint,
} from './checkpoint.node.ts';
import type { RunStore } from './create-learner.ts';

export interface RunFolderOptions extends Partial<Omit<CheckpointOptions, 'folder' | 'run'>> {
  /** Goes on from what is there; true when left out. Else what is there is written over. */
  readonly resume?: boolean;
}

/**
 * Keeps a run in a folder: `checkpoint.safetensors`, all that is needed to go on exactly, every `intervalS` seconds (120)
 * and after every epoch; `best.safetensors`, the weights of the best epoch by `best.metric` (lowest `valid_loss`).
 */
export function runFolder(folder: string, options: RunFolderOptions = {}): RunStore {
  const { resume = true, intervalS = 120, best = { metric: 'valid_loss', higher: false }, ...rest } = options;
  return {
    async begin(state, run) {
      await prepareRunFolder(folder);
      const bytes = resume ? await readLatest(folder) : undefined;
      return bytes === undefined ? undefined : restoreCheckpoint(bytes, state, run);
    },
    callback: (run) => checkpointCallback({ ...rest, folder, run, intervalS, best }),
  };
}
