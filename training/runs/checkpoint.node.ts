import { createHash } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../core/durable.node.ts';
import { ensure, FettleError, messageOf } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import { needMonitor } from '../learner/callbacks/track.ts';
import type { Callback } from '../loop/fit-loop.ts';
import type { EpochRow, Progress } from '../loop/recorder.ts';
import type { TrainState } from '../step/state.ts';
import { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from '../weights/safetensors.ts';
import { lockFolder } from './folder-lock.node.ts';
import { showDifference } from './run-facts.ts';

const flat = (data: Float32Array): Tensor<'float32'> => ({ dtype: 'float32', dims: [data.length], data });

/** The tensors of a checkpoint: every parameter and buffer by name, and each moment as one flat tensor `moment/<i>`. */
function tensorsOf(state: TrainState): Map<string, Tensor<'float32'>> {
  return new Map([...state.tensors, ...state.moments.map((moment, i) => [`moment/${i}`, flat(moment)] as const)]);
}

const extraPrefix = 'extra/';
/** What callbacks keep in the state, as tensors `extra/<name>`. */
const extrasOf = (state: TrainState): Map<string, Tensor<'float32'>> =>
  new Map([...state.extra].map(([name, data]) => [extraPrefix + name, flat(data)]));

const format = 'fettle-checkpoint-1';

/** Hash of all that a checkpoint states, so that damage is seen wherever it is. */
function checksum({ tensors, metadata }: SafetensorsFile): string {
  const { sha256: _, ...facts } = metadata;
  const hash = createHash('sha256').update(JSON.stringify(Object.entries(facts).sort()));
  for (const [name, { dims, data }] of tensors) {
    hash.update(`${name} ${dims}`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** The bytes of a checkpoint: all that is needed to continue exactly. `run` describes the run, best as JSON; resuming demands the same. */
export function encodeCheckpoint(state: TrainState, progress: Progress, run: string): Uint8Array {
  const tensors = new Map([...tensorsOf(state), ...extrasOf(state)]);
  const metadata = { format, run, step: String(state.step), progress: JSON.stringify(progress) };
  return encodeSafetensors({ tensors, metadata: { ...metadata, sha256: checksum({ tensors, metadata }) } });
}

/** The content of a checkpoint. Throws `bad-checkpoint` when it is damaged; `what` names it. */
export function decodeCheckpoint(bytes: Uint8Array, what = 'checkpoint'): SafetensorsFile {
  const file = decodeSafetensors(bytes, what);
  const { metadata } = file;
  ensure(metadata.format === format, 'bad-checkpoint', () => {
    return `${what}: expected format ${format}, got ${metadata.format}; it is no checkpoint of this version`;
  });
  ensure(metadata.sha256 === checksum(file), 'bad-checkpoint', () => {
    return `${what}: expected the content that was written, got another; the file is damaged`;
  });
  return file;
}

/** Copies a decoded checkpoint into `state` and returns the progress. Throws `bad-checkpoint` when it is of another run. */
export function applyCheckpoint({ tensors, metadata }: SafetensorsFile, state: TrainState, run: string): Progress {
  const difference = showDifference(metadata.run ?? '', run);
  ensure(difference === undefined, 'bad-checkpoint', () => {
    return `checkpoint: expected the run it was made by, got another one (${difference}); resume with the same options and data, or begin anew in another folder`;
  });
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

/** {@link decodeCheckpoint} and {@link applyCheckpoint}. */
export const restoreCheckpoint = (bytes: Uint8Array, state: TrainState, run: string): Progress =>
  applyCheckpoint(decodeCheckpoint(bytes), state, run);

/** Names inside a run's folder. `previous` is the checkpoint before the latest. */
export const checkpointFiles = {
  latest: 'checkpoint.safetensors',
  previous: 'checkpoint.previous.safetensors',
  best: 'best.safetensors',
  manifest: 'manifest.json',
} as const;

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FettleError('bad-checkpoint', `checkpoint: expected to read ${path}, got ${error}`, { cause: error });
  }
}

/** Whether a run has left a checkpoint in the folder. */
export async function hasCheckpoint(folder: string): Promise<boolean> {
  const names: readonly string[] = await readdir(folder).catch(() => []);
  return names.includes(checkpointFiles.latest) || names.includes(checkpointFiles.previous);
}

/**
 * Puts a run's latest checkpoint into `state`; where that is damaged the one before it, saying so. Undefined when there is
 * none. Throws `bad-checkpoint` when all are damaged, or of another run.
 */
export async function resumeFrom(
  folder: string,
  state: TrainState,
  run: string,
  onNote?: (text: string) => void,
): Promise<Progress | undefined> {
  let damage: unknown;
  for (const name of [checkpointFiles.latest, checkpointFiles.previous]) {
    const bytes = await readIfThere(join(folder, name));
    if (bytes === undefined) continue;
    let file: SafetensorsFile;
    try {
      file = decodeCheckpoint(bytes, join(folder, name));
    } catch (error) {
      damage ??= error;
      onNote?.(messageOf(error));
      continue;
    }
    return applyCheckpoint(file, state, run);
  }
  if (damage !== undefined) throw damage;
  return undefined;
}

/** Temporary names of {@link writeDurably} and its like for the files of a run; nothing else of the user's matches. */
const leftOver = /^(checkpoint|best|manifest|log|epoch|model|run)[\w.-]*\.\d+\.tmp$/;

/**
 * Makes the run's folder, takes it for this process and removes temporary files that a killed one left in it; gives what
 * lets the folder go. Throws `busy` when another process has it.
 */
export async function prepareRunFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new FettleError('bad-argument', `run: expected a folder at ${folder}, got ${cause}`, { cause });
  });
  const release = await lockFolder(folder);
  for (const name of await readdir(folder)) if (leftOver.test(name)) await rm(join(folder, name), { force: true });
  return release;
}

/** Keeps the latest checkpoint under the name `previous` too, so that there is a whole one at every moment. */
async function keepPrevious(folder: string): Promise<void> {
  const [latest, previous] = [join(folder, checkpointFiles.latest), join(folder, checkpointFiles.previous)];
  const temporary = `${previous}.${process.pid}.tmp`;
  // Some file systems have no hard links.
  const failed = await link(latest, temporary).catch((error: NodeJS.ErrnoException) => error.code ?? 'failed');
  if (failed === 'ENOENT') return;
  if (failed !== undefined) return writeDurably(previous, await readFile(latest));
  await rename(temporary, previous);
  // Where both are links to one file already, rename does nothing and reports nothing (POSIX).
  await rm(temporary, { force: true });
}

export interface CheckpointOptions {
  readonly folder: string;
  /** Describes the run; see {@link encodeCheckpoint}. */
  readonly run: string;
  /** At most this long between checkpoints, seconds. */
  readonly intervalS: number;
  /** The metric whose best epoch is kept apart, and whether more is better; the lowest `valid_loss`, else `train_loss`, by default. */
  readonly best?: { readonly metric: string; readonly higher: boolean };
  /** Checkpoints of the last so many epochs are kept, as `epoch-NNN.safetensors`; 0 by default. */
  readonly keep?: number;
}

const epochFile = (epoch: number): string => `epoch-${String(epoch).padStart(3, '0')}.safetensors`;

/** Keeps a checkpoint as that of `epoch`, and removes those of epochs that are `keep` or more back. */
async function keepEpoch(folder: string, checkpoint: Uint8Array, epoch: number, keep: number): Promise<void> {
  await writeDurably(join(folder, epochFile(epoch)), checkpoint);
  for (const name of await readdir(folder)) {
    const old = /^epoch-(\d+)\.safetensors$/.exec(name);
    if (old !== null && Number(old[1]) <= epoch - keep) await rm(join(folder, name), { force: true });
  }
}

/** What `manifest.json` states: where the run stands, and every file of weights with its hash. Written after all of them. */
export interface RunManifest {
  readonly format: 'fettle-run-1';
  readonly epoch: number;
  readonly batch: number;
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly sizeBytes: number }>>;
}

/** Hashes of files that this process has hashed before, by name, size and time of change. */
type KnownHashes = Map<string, string>;

async function writeManifest(folder: string, { epoch, batch }: Progress, known: KnownHashes): Promise<void> {
  const files: Record<string, RunManifest['files'][string]> = {};
  for (const name of (await readdir(folder)).filter((one) => one.endsWith('.safetensors')).sort()) {
    const { size, mtimeMs, ino } = await stat(join(folder, name));
    const key = `${ino} ${size} ${mtimeMs}`;
    const sha256 =
      known.get(key) ??
      createHash('sha256')
        .update(await readFile(join(folder, name)))
        .digest('hex');
    known.set(key, sha256);
    files[name] = { sha256, sizeBytes: size };
  }
  const manifest: RunManifest = { format: 'fettle-run-1', epoch, batch, files };
  await writeDurably(join(folder, checkpointFiles.manifest), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * Saves the latest state every `intervalS`, after every epoch and when the run is stopped, and the weights of the best
 * epoch in a file of its own.
 */
export function checkpointCallback({ folder, run, intervalS, keep = 0, ...options }: CheckpointOptions): Callback {
  let best = options.best ?? { metric: 'valid_loss', higher: false };
  let savedMs = performance.now();
  let savedAt = '';
  const known: KnownHashes = new Map();
  const placeOf = ({ epoch, batch }: Progress): string => `${epoch}/${batch}`;
  const save = async (state: TrainState, progress: Progress, epoch?: number): Promise<void> => {
    await keepPrevious(folder);
    await state.residence?.toHost();
    const checkpoint = encodeCheckpoint(state, progress, run);
    await writeDurably(join(folder, checkpointFiles.latest), checkpoint);
    if (epoch !== undefined && keep > 0) await keepEpoch(folder, checkpoint, epoch, keep);
    await writeManifest(folder, progress, known);
    savedMs = performance.now();
    savedAt = placeOf(progress);
  };
  const measured = (row: EpochRow): number | undefined =>
    best.metric === 'train_loss' ? row.trainLoss : row.metrics[best.metric];
  const score = (row: EpochRow): number => (measured(row) ?? Number.NaN) * (best.higher ? 1 : -1);
  return {
    name: 'checkpoint',
    // After everything else, so that what other callbacks do to the state is saved too.
    order: 100,
    // It asks for them when a checkpoint is due.
    numbers: [],
    beforeFit: ({ metricNames }) => {
      if (options.best === undefined && metricNames?.includes('valid_loss') === false)
        best = { metric: 'train_loss', higher: false };
      needMonitor('best.metric', metricNames, best.metric);
    },
    // Between two batches of one update nothing is saved: the gradients gathered so far are not in a checkpoint.
    afterBatch: async ({ state, progress, updated }) => {
      if (updated && performance.now() - savedMs >= intervalS * 1000) await save(state, progress);
    },
    // The weights that were validated, which may be averaged ones, are the ones to keep.
    afterValidate: async ({ state, progress, row }) => {
      if (progress.rows.slice(0, -1).every((other) => !(score(other) >= score(row!)))) {
        await state.residence?.toHost(['params', 'buffers']);
        const metadata = { epoch: String(row!.epoch), [best.metric]: String(measured(row!)) };
        await writeDurably(join(folder, checkpointFiles.best), encodeSafetensors({ tensors: state.tensors, metadata }));
      }
    },
    afterEpoch: ({ state, progress, row }) => save(state, progress, row!.epoch),
    afterStop: async ({ state, progress, updated }) => {
      if (updated && savedAt !== placeOf(progress)) await save(state, progress);
    },
  };
}
