import type { SpecOf, TaskContract } from '../../tasks/task.ts';
import { ensure } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import type { SkippedDevice, Tensors } from '../../training/run/session.ts';
import type { ModelInfo, Progress } from '../api.ts';
import { idOf } from './model-source.ts';

/** What every job states. */
export interface HereJob {
  readonly device: WebDevice | 'auto';
}

/** A job on a photo. */
export interface PhotoJob extends HereJob {
  readonly file: Blob;
}

/** A model on a device. */
export interface Running<Parts = undefined> {
  readonly device: WebDevice;
  /** What the task's `partsOf` has read. */
  readonly parts: Parts;
  /** One tensor in, one out. */
  run(inputName: string, input: Tensor<'float32'>, outputName: string): Promise<Tensor<'float32'>>;
  /** Everything in and out, as of a session. */
  runAll(feeds: Tensors, fetches?: Tensors): Promise<Tensors>;
}

/** Does work with the model on the best device, and on the next one where that fails. */
export type OnDevice<Parts = undefined> = <R>(work: (running: Running<Parts>) => Promise<R>) => Promise<R>;

/** One job, and how what happens is reported. */
export interface TaskRun<Job, Piece = never, Parts = undefined> {
  readonly job: Job;
  readonly model: ModelInfo;
  readonly onDevice: OnDevice<Parts>;
  readonly report: (progress: Progress) => void;
  /** Reports a piece of a result that is not complete yet. */
  readonly reportPiece: (piece: Piece) => void;
}

/** How a task is done on this device: `hereTask` of its `here.web.ts`. */
export interface HereTask<Job extends HereJob, Result, Piece = never, Parts = undefined> {
  /** Reads what the job needs of the model's file besides the graph, once for each model. */
  readonly partsOf?: (model: Uint8Array) => Parts;
  run(run: TaskRun<Job, Piece, Parts>): Promise<Result>;
}

/** The same, whatever the task. */
export type AnyHereTask = HereTask<HereJob, unknown, never, unknown>;

/** What this device can do, by the task's name. */
export type HereTasks = ReadonlyMap<string, AnyHereTask>;

export type JobOf<T extends AnyHereTask> = Parameters<T['run']>[0]['job'];
export type ResultOf<T extends AnyHereTask> = Awaited<ReturnType<T['run']>>;
export type PieceOf<T extends AnyHereTask> = Parameters<Parameters<T['run']>[0]['reportPiece']>[0];

/** What came of a job, and where. */
export interface DoneHere<Result> {
  readonly result: Result;
  /** NAME@VERSION. */
  readonly model: string;
  readonly device: WebDevice;
  readonly threads: number;
  /** Devices that would have been preferred, and why they were not used. */
  readonly skipped: readonly SkippedDevice[];
}

/**
 * sectionOf: the section of its config.json that states how a model is fed and read; throws `bad-model` where it lacks that. Unlike `specOf`
 * of tasks/config.ts it does not parse: the server has checked the section, and a page carries no zod.
 */
export function sectionOf<C extends TaskContract>(info: ModelInfo, section: keyof C['sections'] & string): SpecOf<C> {
  const { [section]: spec }: Readonly<Record<string, unknown>> = { ...info };
  ensure(spec !== undefined, 'bad-model', () => `${idOf(info)}: expected \`${section}\` in its config.json, got none`);
  return spec as SpecOf<C>;
}
