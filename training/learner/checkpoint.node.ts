import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ensure, FettleError } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import type { TrainState } from '../step/state.ts';
import type { Callback } from './learner.ts';
import type { Progress } from './recorder.ts';
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts';

/** Writes a file so that a crash leaves the old content or the new one, never a part: temporary name, fsync, rename, fsync of the folder. */
export async function writeDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const flat = (data: Float32Array): Tensor<'float32'> => ({ dtype: 'float32', dims: [data.length], data });

/** The tensors of a checkpoint: every parameter and buffer by name, and each moment as one flat tensor `moment/<i>`. */
function tensorsOf(state: TrainState): Map<string, Tensor<'float32'>> {
  return new Map([...state.tensors, ...state.moments.map((moment, i) => [`moment/${i}`, flat(moment)] as const)]);
}

const extraPrefix = 'extra/';
/** What callbacks keep in the state, as tensors `extra/<name>`. */
const extrasOf = (state: TrainState): Map<string, Tensor<'float32'>> =>
  new Map([...state.extra].map(([name, data]) => [extraPrefix + name, flat(data)]));

/** The bytes of a checkpoint: all that is needed to go on exactly. `run` describes the run; resuming demands the same. */
export function encodeCheckpoint(state: TrainState, progress: Progress, run: string): Uint8Array {
  const metadata = { format: 'fettle-checkpoint-1', run, step: String(state.step), progress: JSON.stringify(progress) };
  return encodeSafetensors({ tensors: new Map([...tensorsOf(state), ...extrasOf(state)]), metadata });
}

/** Reads a checkpoint into `state` and returns the progress. Throws `bad-checkpoint` when it is damaged or of another run. */
export function restoreCheckpoint(bytes: Uint8Array, state: TrainState, run: string): Progress {
  const { tensors, metadata } = decodeSafetensors(bytes, 'checkpoint');
  ensure(
    metadata.format === 'fettle-checkpoint-1',
    'bad-checkpoint',
    () => `checkpoint: expected format fettle-checkpoint-1, got ${metadata.format}`,
  );
  ensure(
    metadata.run === run,
    'bad-checkpoint',
    () =>
      `checkpoint: expected the run ${run}, got ${metadata.run}; resume with the same options and data, or choose another --out`,
  );
  for (const [name, { data }] of tensorsOf(state)) {
    const source = tensors.get(name)?.data;
    ensure(
      source?.length === data.length,
      'bad-checkpoint',
      () => `checkpoint: expected ${name} with ${data.length} values, got ${source?.length ?? 'none'}`,
    );
    data.set(source);
  }
  for (const [name, { data }] of tensors)
    if (name.startsWith(extraPrefix)) state.extra.set(name.slice(extraPrefix.length), data);
  state.step = Number(metadata.step);
  return JSON.parse(metadata.progress ?? '') as Progress;
}

/** Names inside a run's folder. */
export const checkpointFiles = { latest: 'checkpoint.safetensors', best: 'best.safetensors' } as const;

/** The bytes of a run's latest checkpoint, or undefined when there is none. */
export async function readLatest(folder: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(join(folder, checkpointFiles.latest));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FettleError('bad-checkpoint', `readLatest: expected to read ${folder}, got ${error}`, { cause: error });
  }
}

/** Makes the run's folder and removes temporary files that a killed process left in it. */
export async function prepareRunFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
}

export interface CheckpointOptions {
  readonly folder: string;
  /** Describes the run; see {@link encodeCheckpoint}. */
  readonly run: string;
  /** At most this long between checkpoints, seconds. */
  readonly intervalS: number;
  /** The metric whose best epoch is kept apart, and whether more is better. */
  readonly best: { readonly metric: string; readonly higher: boolean };
}

/** Saves the latest state every `intervalS` and after every epoch, and the weights of the best epoch in a file of its own. */
export function checkpointCallback({ folder, run, intervalS, best }: CheckpointOptions): Callback {
  let saved = performance.now();
  const save = async (state: TrainState, progress: Progress): Promise<void> => {
    await writeDurably(join(folder, checkpointFiles.latest), encodeCheckpoint(state, progress, run));
    saved = performance.now();
  };
  return {
    name: 'checkpoint',
    // Between two batches of one update nothing is saved: the gradients gathered so far are not in a checkpoint.
    afterBatch: async ({ state, progress, updated }) => {
      if (updated && performance.now() - saved >= intervalS * 1000) await save(state, progress);
    },
    afterEpoch: async ({ state, progress, row }) => {
      const score = (metrics: Readonly<Record<string, number>>): number =>
        (metrics[best.metric] ?? Number.NaN) * (best.higher ? 1 : -1);
      const isBest = progress.rows.every((other) => score(other.metrics) <= score(row!.metrics));
      if (isBest) {
        const metadata = { epoch: String(row!.epoch), [best.metric]: String(row!.metrics[best.metric]) };
        await writeDurably(join(folder, checkpointFiles.best), encodeSafetensors({ tensors: state.tensors, metadata }));
      }
      await save(state, progress);
    },
  };
}
