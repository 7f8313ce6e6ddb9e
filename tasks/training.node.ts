import type { Command, Option } from 'commander';
import type { Learner } from '../training/learner/learner.ts';
import type { EpochRow } from '../training/loop/recorder.ts';
import type { Weights } from '../training/nn/scope.ts';
import type { NodeDevice } from '../training/run/ort.node.ts';
import type { RunOptions } from '../training/runs/run-options.ts';
import type { Task } from '../training/step/train-step.ts';
import type { AnyConfig } from './config.ts';
import type { TaskContract } from './task.ts';

/** The commands that train: from scratch, from a model that is registered again as its next version, or a few steps to find a rate. */
export type Verb = 'train' | 'retrain' | 'lr-find';

/** Options that training has for every task. */
export interface TrainOptions {
  readonly data: string;
  readonly device: NodeDevice | 'auto';
  readonly size?: number;
  readonly batch?: number;
  readonly epochs?: number;
  readonly samples?: number;
  readonly lr?: number;
  readonly seed: number;
  readonly threads?: number;
  readonly workers?: number;
}

/** The model that a run starts from. */
export interface Origin {
  /** For people: `NAME@1`, or the path of a file. */
  readonly reference: string;
  readonly bytes: Uint8Array;
  /** Of a version of the store. */
  readonly config?: AnyConfig;
}

/** From what a run is planned, besides the options. */
export interface PlanFrom {
  readonly verb: Verb;
  readonly origin?: Origin | undefined;
  readonly onNote: (text: string) => void;
}

/** Where and how a run runs. */
export type RunPlace = Omit<RunOptions<unknown, unknown>, 'config' | 'data' | 'start'> & {
  readonly device: NodeDevice;
};

/** An exported model and how it is fed. */
export interface ExportedModel<Spec> {
  readonly model: Uint8Array;
  /** The task's section of `config.json`; omitted where the contract has none. */
  readonly spec?: Spec;
}

/** Scores on the held-out data; undefined where a model has other classes, or there is no such model. */
export interface Scores<Score> {
  readonly after: Score | undefined;
  /** Of the model that the run started from. */
  readonly before: Score | undefined;
  /** Of the version that serves. */
  readonly serving: Score | undefined;
}

/** What a command prints. */
export interface Outcome {
  /** For `--json`. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** Lines before the text. */
  readonly details?: readonly string[];
}

/** How a new version compares with what there was. */
export interface Comparison extends Outcome {
  /** What it was trained on, after `trained` or `fine-tuned from NAME@VERSION`: `on 12 photos`. */
  readonly description: string;
  /** For `config.json`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What the user should know before trusting the numbers. */
  readonly notes: readonly string[];
  /** It does not serve then. */
  readonly worse: boolean;
  /** Why it does not, if not for being worse on the held-out data. */
  readonly reason?: string;
}

/** What a card states besides the numbers of the run. */
export interface CardFacts {
  readonly name: string;
  /** One paragraph: the data, whose they are. */
  readonly data: string;
  readonly command: string;
  /** `NAME@1`; omitted for random weights. */
  readonly startedFrom?: string | undefined;
  readonly licence: string;
}

/** An exported model taken apart again, to be trained elsewhere or written in another form. */
export interface Reopened {
  /** Items of a batch, and sides of an input, by default; sides are multiples of `multiple`. */
  readonly batch: number;
  readonly sizes: { readonly usual: readonly number[]; readonly multiple?: number };
  readonly weights: Weights;
  task(batch: number, sides: readonly number[]): Task;
  /** The model for inference. */
  write(weights: Weights, settings: { readonly batch?: number; readonly opset?: number }): Uint8Array;
}

/** How the commands train a task: `Run` is what the recipe is given besides its place. */
export interface Training<
  Options extends TrainOptions = TrainOptions,
  Run extends object = object,
  Result = unknown,
  Spec = unknown,
  Score = unknown,
> {
  /** Data, settings and starting weights, as the options ask for them. */
  plan(options: Options, from: PlanFrom): Promise<Run>;
  run(options: Run & RunPlace): Promise<Result>;
  openLearner(options: Run & RunPlace): Promise<{ readonly learner: Learner; close(): Promise<void> }>;
  /** A line for the end of an epoch. */
  describe(row: EpochRow): string;
  export(result: Result, run: Run): ExportedModel<Spec>;
  /**
   * How well a model does on the held-out data, as it would serve; undefined for a model of other classes, which the new one replaces. Where
   * the serving version makes it throw, that one stays.
   */
  score(
    model: Required<ExportedModel<Spec>>,
    run: Run & Pick<RunPlace, 'device' | 'open'>,
    result: Result,
  ): Promise<Score | undefined>;
  /** What `train` prints. */
  summarise(result: Result, run: Run): Outcome;
  /** What `retrain` registers and prints. */
  compare(result: Result, run: Run, scores: Scores<Score>, origin: Origin | undefined): Comparison;
  /** `card.md` of the new version. */
  card(facts: CardFacts, result: Result, run: Run, scores: Scores<Score>): string;
  /** Omitted where `fettle export` writes models of the task only as they are. */
  reopen?(model: Uint8Array): Reopened;
}

/** All that the command line knows of a task before it loads what trains it. */
export interface TrainedTask {
  /** That of the contract. */
  readonly name: string;
  /** What `fettle train` makes, for its help: `a model that restores photos`. */
  readonly makes: string;
  /** Options of a command that trains. */
  options(verb: Verb): readonly Option[];
  /** Adds the commands that use a model: `fettle generate`. */
  commands(program: Command, tasks: readonly TrainedTask[]): void;
  /** The module that exports the table of served tasks with this one, for the workers of its command; fettle's own by default. */
  readonly served?: URL;
  contract(): Promise<TaskContract>;
  load(): Promise<Training>;
}
