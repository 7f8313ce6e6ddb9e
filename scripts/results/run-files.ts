import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EpochRow, Progress } from '../../training/loop/recorder.ts';
import { checkpointFiles } from '../../training/runs/checkpoint.node.ts';
import { decodeSafetensors } from '../../training/weights/safetensors.ts';

/** What the two files of a run state; `Run` is what its command wrote beside the weights. */
export interface RunFiles<Run> {
  readonly run: Run;
  readonly rows: readonly EpochRow[];
  readonly best: EpochRow;
  /** Of the best epoch. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** readRunFiles: the settings, the epochs and the best weights of the run in `folder`. */
export async function readRunFiles<Run>(folder: string): Promise<RunFiles<Run>> {
  const [latest, best] = await Promise.all(
    [checkpointFiles.latest, checkpointFiles.best].map(async (name) =>
      decodeSafetensors(await readFile(join(folder, name))),
    ),
  );
  const { rows } = JSON.parse(latest!.metadata.progress ?? '') as Progress;
  const weights = new Map([...best!.tensors].map(([name, { data }]) => [name, data as Float32Array]));
  return {
    run: JSON.parse(latest!.metadata.run ?? '') as Run,
    rows,
    best: rows[Number(best!.metadata.epoch)]!,
    weights,
  };
}
