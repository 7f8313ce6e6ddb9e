import { z } from 'zod';
import type { AnyConfig, ModelConfig } from '../tasks/config.ts';
import { versionNumber } from '../tasks/config.ts';
import type { TaskInput } from '../tasks/task.ts';

// Wire types and their schemas that belong to no task. The page imports types from here, so nothing of Node may be imported.

/** `active.json` of a model: the version that serves, and those that served before it, the latest last. */
export const activeFile = z.object({
  version: versionNumber.nullable(),
  history: z.array(versionNumber),
  /** The highest number ever given out, so that a removed version's number never comes back with other content. */
  highest: z.int().min(0),
});
export type ActiveFile = z.infer<typeof activeFile>;

/** What a list of models adds to what `config.json` states. */
interface Listed {
  /** Whether this version is loaded and answers requests. */
  readonly active: boolean;
  readonly inputs: readonly TaskInput[];
  /** The model card, markdown. */
  readonly card: string;
  /** Every version there is, ascending. */
  readonly versions: readonly number[];
}

/** An entry for a version with the `config.json` of `C`. */
type InfoOf<C extends AnyConfig> = C extends AnyConfig ? Omit<C, 'createdAt' | 'metrics'> & Listed : never;

/** One entry of `GET /v1/models`, of whatever task: a model, described by the version that is loaded, else by the one that should be. */
export type AnyModelInfo = InfoOf<AnyConfig>;

/** One entry of `GET /v1/models`, of one of fettle's own tasks. */
export type ModelInfo = InfoOf<ModelConfig>;

export interface ModelsBody<Info extends AnyModelInfo = ModelInfo> {
  readonly models: readonly Info[];
}

/** Body of `GET /health/*`; `reason` when it is not 200. */
export interface HealthBody {
  readonly status: 'ok' | 'unavailable';
  readonly reason?: string;
}

/** Every answer that is not a success. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string };
  readonly requestId: string;
}
