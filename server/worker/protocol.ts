import type { ImageModelSpec } from '../../training/core/model-config.ts';
import type { Device } from '../../training/run/session.ts';
import type { RestoreQuery } from '../contract.ts';
import type { PlainError } from '../errors.ts';
import type { PictureInfo } from '../images.ts';

/** What a worker thread is started with. */
export interface WorkerSettings {
  readonly device: Device;
  /** Threads of ONNX Runtime in this worker. */
  readonly threads: number;
  /** Steps by which the thread yields to the one that serves HTTP (0 none .. 19). */
  readonly niceness: number;
}

/** A model as it goes to a worker: NAME@VERSION, its verified bytes and its contract. */
export interface WorkerModel {
  readonly key: string;
  readonly model: Uint8Array;
  readonly spec: ImageModelSpec;
}

export interface RestoreJob {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly info: PictureInfo;
  readonly query: RestoreQuery;
  /** Largest side of a tile; the model's default when not given. */
  readonly tile?: number;
}

export interface RestoreResult {
  readonly file: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Milliseconds by stage. */
  readonly timings: { readonly decode: number; readonly model: number; readonly encode: number };
}

/** To a worker. Every `load` and `restore` is answered once, with the same id. */
export type ToWorker =
  | ({ readonly type: 'load'; readonly id: number } & WorkerModel)
  | { readonly type: 'unload'; readonly key: string }
  | { readonly type: 'restore'; readonly id: number; readonly job: RestoreJob }
  | { readonly type: 'cancel'; readonly id: number };

/** From a worker. */
export type FromWorker =
  | { readonly type: 'done'; readonly id: number; readonly result?: RestoreResult }
  | { readonly type: 'failed'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'progress'; readonly id: number; readonly done: number; readonly total: number };

/** The memory behind `bytes`, where it holds nothing else and so can be handed over instead of copied. */
export function transferable({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
