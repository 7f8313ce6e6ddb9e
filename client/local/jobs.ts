import type { LabelProbability } from '../../tasks/classify/infer.ts';
import type { SegmentClass } from '../../tasks/segment/contract.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import type { SkippedDevice } from '../../training/run/session.ts';
import type { GenerateBody, GenerateEvent, OutputFormat, Progress, Scale } from '../api.ts';

/** What every job on a photo says. */
export interface PhotoJob {
  readonly file: Blob;
  readonly device: WebDevice | 'auto';
}

export interface RestoreJob extends PhotoJob {
  readonly scale: Scale;
  readonly format?: OutputFormat;
  readonly quality?: number;
}

/** A class of every pixel of the upright picture. */
export interface Segmented {
  readonly width: number;
  readonly height: number;
  /** u8[height width]: places in `classes`. */
  readonly ids: Uint8Array;
  readonly classes: readonly SegmentClass[];
}

export interface ClassifyJob extends PhotoJob {
  readonly top: number;
}

/** What the server would be asked for; nothing is left to its defaults, so that it is the same in both places. */
export interface TextJob {
  readonly prompt: string;
  readonly n: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  /** The backends on GPUs have no kernels for nets with a memory. */
  readonly device: 'wasm';
}

/** What this device can do: by the name of the model's task, what it is told and what comes out. */
export interface Jobs {
  readonly restore: { readonly job: RestoreJob; readonly result: Blob };
  readonly segment: { readonly job: PhotoJob; readonly result: Segmented };
  readonly classify: { readonly job: ClassifyJob; readonly result: readonly LabelProbability[] };
  readonly text: { readonly job: TextJob; readonly result: GenerateBody['candidates']; readonly piece: GenerateEvent };
}
export type TaskName = keyof Jobs;

/** What is told of a task's result before it is complete. */
export type PieceOf<T extends TaskName> = Jobs[T] extends { readonly piece: infer P } ? P : never;

export interface DoneHere<R> {
  readonly result: R;
  /** NAME@VERSION. */
  readonly model: string;
  readonly device: WebDevice;
  readonly threads: number;
  /** Devices that would have been preferred, and why they were not used. */
  readonly skipped: readonly SkippedDevice[];
}

/** What the page tells the worker, one job at a time. */
export interface ToWorker<T extends TaskName = TaskName> {
  readonly task: T;
  readonly job: Jobs[T]['job'];
}

/** What the worker tells the page about the one job that it has. */
export type FromWorker<T extends TaskName = TaskName> =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'piece'; readonly piece: PieceOf<T> }
  | { readonly kind: 'done'; readonly done: DoneHere<Jobs[T]['result']> }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
