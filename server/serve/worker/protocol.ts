import type { Device } from '../../../training/run/session.ts';
import type { PlainError } from '../../errors.ts';

/** What a worker thread is started with. */
export interface WorkerSettings {
  readonly device: Device;
  /** Threads of ONNX Runtime in this worker. */
  readonly threads: number;
  /** Steps by which the thread yields to the one that serves HTTP (0 none .. 19). */
  readonly niceness: number;
}

/** What belongs to a version, NAME@VERSION. */
export interface Keyed {
  readonly key: string;
}

/** A version as it goes to a worker: its verified bytes. */
export interface KeyedModel extends Keyed {
  readonly model: Uint8Array;
}

/** What the workers of a pool hold, do, answer and report. */
export interface Work {
  readonly model: KeyedModel;
  readonly job: Keyed;
  readonly result: object;
  readonly event: unknown;
}

/** What is answered once, under the id with which it is sent; `events`: whether anyone listens to them. */
export type Question<W extends Work> =
  | { readonly type: 'load'; readonly model: W['model'] }
  | { readonly type: 'run'; readonly job: W['job']; readonly events: boolean };

/** To a worker. */
export type ToWorker<W extends Work> =
  | (Question<W> & { readonly id: number })
  | { readonly type: 'unload'; readonly key: string }
  | { readonly type: 'cancel'; readonly id: number };

/** From a worker. */
export type FromWorker<W extends Work> =
  | { readonly type: 'done'; readonly id: number; readonly result?: W['result'] }
  | { readonly type: 'failed'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'events'; readonly events: readonly { readonly id: number; readonly event: W['event'] }[] }
  /** Now and then, so that a thread that hangs is noticed. */
  | { readonly type: 'alive' };

/** The memory behind the byte arrays of a message, where it holds nothing else and so can be handed over instead of copied. */
export const transferable = (message: object): ArrayBuffer[] =>
  Object.values(message).flatMap((value: unknown) => {
    if (!(value instanceof Uint8Array)) return [];
    const { buffer, byteLength } = value;
    return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
  });
