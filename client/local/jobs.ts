import type { SegmentClass } from '../../training/core/model-config.ts';
import type { LabelProbability } from '../../training/data/classes.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import type { SkippedDevice } from '../../training/run/session.ts';
import type { OutputFormat, Progress, Scale } from '../api.ts';

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

/** What this device can do: by the name of the model's task, what it is told and what comes out. */
export interface Jobs {
  readonly restore: { readonly job: RestoreJob; readonly result: Blob };
  readonly segment: { readonly job: PhotoJob; readonly result: Segmented };
  readonly classify: { readonly job: ClassifyJob; readonly result: readonly LabelProbability[] };
}
export type TaskName = keyof Jobs;

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
export type FromWorker<R = unknown> =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'done'; readonly done: DoneHere<R> }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
