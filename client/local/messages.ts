import type { Progress } from '../api.ts';
import type { RestoredHere } from './engine.ts';

/** What the worker tells the page about the one job that it has. */
export type FromWorker =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'done'; readonly restored: RestoredHere }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
