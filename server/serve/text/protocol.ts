import type { Candidate, GenerateOptions } from '../../../training/generate/engine.ts';
import type { FinishReason } from '../../../training/generate/writer.ts';
import type { PlainError } from '../../errors.ts';

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

/** To the thread that writes. Every `load` and `write` is answered once, with the same id. */
export type ToWriter =
  | { readonly type: 'load'; readonly id: number; readonly key: string; readonly model: Uint8Array }
  | { readonly type: 'unload'; readonly key: string }
  /** `pieces`: whether the text is to be told as it comes. */
  | { readonly type: 'write'; readonly id: number; readonly job: TextJob; readonly pieces: boolean }
  | { readonly type: 'cancel'; readonly id: number };

/** From it. */
export type FromWriter =
  | { readonly type: 'done'; readonly id: number; readonly result?: TextResult }
  | { readonly type: 'failed'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'pieces'; readonly pieces: readonly (TextPiece & { readonly id: number })[] }
  /** Now and then, so that a thread that hangs is noticed. */
  | { readonly type: 'alive' };
