import { availableParallelism } from 'node:os';
import type { Candidate, GenerateOptions } from '../../training/generate/engine.ts';
import type { FinishReason } from '../../training/generate/writer.ts';
import type { Device } from '../../training/run/session.ts';
import { Pool, type PoolOptions } from './pool.ts';
import type { Work, WorkerSettings } from './worker/protocol.ts';

/** One text, or several, to be written after a prompt. */
export interface TextJob extends Omit<GenerateOptions, 'signal' | 'onText'> {
  /** NAME@VERSION of the model. */
  readonly key: string;
  readonly prompt: string;
}

/** A piece of a text as it comes. */
export interface TextPiece {
  readonly candidate: number;
  readonly text: string;
  /** Of the candidate, so far. */
  readonly tokens: number;
  /** With the last piece, which may be ''. */
  readonly finishReason?: FinishReason;
}

export interface TextResult {
  readonly candidates: readonly Candidate[];
  readonly promptTokens: number;
}

export interface TextSettings extends WorkerSettings {
  /** Texts that are written at the same time. */
  readonly rows: number;
}

export interface TextPoolChoices {
  readonly log: PoolOptions['log'];
  readonly device?: Device | undefined;
  /** Texts that are written at the same time; 32 by default. */
  readonly rows?: number | undefined;
  /** Requests that are being answered or wait; 64 by default. */
  readonly capacity?: number | undefined;
  /** Steps by which the thread yields to the one that serves HTTP, 0..19; 10 by default. */
  readonly niceness?: number | undefined;
  /** The worker's script; another one only in tests. */
  readonly script?: URL | undefined;
}

export interface TextWork extends Work {
  readonly job: TextJob;
  readonly result: TextResult;
  readonly event: TextPiece;
}

export type TextPool = Pool<TextWork>;

/**
 * createTextPool: the thread that writes texts, in which all requests share one batch. On WebGPU it stays on the CPU: the pool of
 * pictures has that device, which two threads cannot share.
 */
export function createTextPool({
  log,
  device,
  rows = 32,
  capacity = 64,
  niceness = 10,
  script,
}: TextPoolChoices): TextPool {
  const workerData: TextSettings = {
    device: device === 'cuda' ? device : 'cpu',
    threads: availableParallelism(),
    niceness,
    rows,
  };
  return new Pool({
    name: 'the thread that writes',
    script: script ?? new URL('./worker/texts.js', import.meta.url),
    workerData,
    workers: 1,
    atOnce: Number.POSITIVE_INFINITY,
    capacity,
    patience: { silenceMs: 60_000 },
    log,
  });
}
