import type { Progress } from '../api.ts';
import type { DoneHere, HereJob } from './task.ts';

/** What the page sends to the worker, one job at a time. */
export interface ToWorker {
  /** The task's name. */
  readonly task: string;
  /** The model's, where it is not the task's default. */
  readonly model?: string;
  readonly job: HereJob;
}

/** What the worker reports of the one job that it has. */
export type FromWorker =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'piece'; readonly piece: unknown }
  | { readonly kind: 'done'; readonly done: DoneHere<unknown> }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
