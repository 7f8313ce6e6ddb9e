import type { ClassifyBody, ClassifyModelSpec, ClassifyQuery } from '../../tasks/classify/contract.ts';
import type { AnyConfig } from '../../tasks/config.ts';
import type { ImageModelSpec } from '../../tasks/pictures.ts';
import type { RestoreQuery } from '../../tasks/restore/contract.ts';
import type { SegmentModelSpec, SegmentQuery } from '../../tasks/segment/contract.ts';
import type { Session } from '../../training/run/session.ts';
import type { PictureInfo } from './images.ts';

/** Milliseconds by stage; `model` is everything between decoded pixels and those that are encoded. */
export interface StageTimings {
  readonly decode: number;
  readonly model: number;
  readonly encode: number;
}

/** A file as the answer. */
export interface FileResult {
  readonly file: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly timings: StageTimings;
}

export interface LabelsResult extends ClassifyBody {
  readonly timings: StageTimings;
}

/** Tasks whose input is a picture: the contract of their models, what a request may ask for, and what comes back. */
export interface PictureTasks {
  readonly restore: { readonly spec: ImageModelSpec; readonly query: RestoreQuery; readonly result: FileResult };
  readonly segment: { readonly spec: SegmentModelSpec; readonly query: SegmentQuery; readonly result: FileResult };
  readonly classify: { readonly spec: ClassifyModelSpec; readonly query: ClassifyQuery; readonly result: LabelsResult };
}

export type PictureTask = keyof PictureTasks;
export type SpecOf<T extends PictureTask> = PictureTasks[T]['spec'];
export type QueryOf<T extends PictureTask> = PictureTasks[T]['query'];
export type ResultOf<T extends PictureTask> = PictureTasks[T]['result'];

/** One picture to be worked on. */
export interface JobOf<T extends PictureTask> {
  readonly task: T;
  /** NAME@VERSION of the model. */
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly info: PictureInfo;
  readonly query: QueryOf<T>;
}

export type PictureJob = { readonly [T in PictureTask]: JobOf<T> }[PictureTask];
export type PictureResult = ResultOf<PictureTask>;

/** What a job that lasts tells and listens to. */
export interface JobHooks {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** All that is particular to a task: one row of the table. */
export interface TaskRow<T extends PictureTask> {
  /** The section of config.json that says how its models are fed; throws `bad-model` where it is missing. */
  specOf(config: AnyConfig): SpecOf<T>;
  /** Throws a 4xx where the headers say that this request cannot be met. */
  check(info: PictureInfo, query: QueryOf<T>): void;
  /** Dims of an input that every model of this contract takes, and of what must come back for it. */
  trialDims(spec: SpecOf<T>): { readonly input: readonly number[]; readonly output: readonly number[] };
  /** File in, answer out; in a worker thread. */
  run(job: JobOf<T>, session: Session, spec: SpecOf<T>, hooks: JobHooks): Promise<ResultOf<T>>;
}
