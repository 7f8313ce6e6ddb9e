import type { OpenGraph } from '../loop/compile.ts';
import type { Callback } from '../loop/fit-loop.ts';
import type { Weights } from '../nn/scope.ts';

/** What the learner of a run is made from, whatever its task. */
export interface RecipeOptions<Config, Data, Start = Weights> {
  /** Everything that decides the result, besides the data. */
  readonly config: Config;
  readonly data: Data;
  readonly open: OpenGraph;
  /** Weights to start from; random ones by default. */
  readonly start?: Start;
  /** Threads that read and prepare data; 1 by default. */
  readonly workers?: number;
  /** Messages for the user during the run. */
  readonly onNote?: (text: string) => void;
}

/** What a run of any task is given. */
export interface RunOptions<Config, Data, Start = Weights> extends RecipeOptions<Config, Data, Start> {
  /** The run's folder: checkpoints, log, pictures or samples. */
  readonly out: string;
  readonly resume: boolean;
  readonly callbacks?: readonly Callback[];
  /** Aborting it ends the run after the current batch, with a checkpoint; the run then throws `stopped`. */
  readonly signal?: AbortSignal;
}
