import type { Device } from '../../../training/run/session.ts';
import type { PlainError } from '../../errors.ts';
import type { PictureJob, PictureResult, PictureTask, SpecOf } from '../task.ts';

/** What a worker thread is started with. */
export interface WorkerSettings {
  readonly device: Device;
  /** Threads of ONNX Runtime in this worker. */
  readonly threads: number;
  /** Steps by which the thread yields to the one that serves HTTP (0 none .. 19). */
  readonly niceness: number;
}

/** A model as it goes to a worker: NAME@VERSION, its verified bytes and its contract. */
export interface WorkerModelOf<T extends PictureTask> {
  readonly task: T;
  readonly key: string;
  readonly model: Uint8Array;
  readonly spec: SpecOf<T>;
}

export type WorkerModel = { readonly [T in PictureTask]: WorkerModelOf<T> }[PictureTask];

/** To a worker. Every `load` and `run` is answered once, with the same id. */
export type ToWorker =
  | { readonly type: 'load'; readonly id: number; readonly model: WorkerModel }
  | { readonly type: 'unload'; readonly key: string }
  | { readonly type: 'run'; readonly id: number; readonly job: PictureJob }
  | { readonly type: 'cancel'; readonly id: number };

/** From a worker. */
export type FromWorker =
  | { readonly type: 'done'; readonly id: number; readonly result?: PictureResult }
  | { readonly type: 'failed'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'progress'; readonly id: number; readonly done: number; readonly total: number };

/** The memory behind `bytes`, where it holds nothing else and so can be handed over instead of copied. */
export function transferable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
