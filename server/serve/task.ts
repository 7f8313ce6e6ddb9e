import type { Response } from 'express';
import type { QueryOf, SpecOf, TaskContract } from '../../tasks/task.ts';
import type { Session } from '../../training/run/session.ts';
import type { PictureInfo } from './images.ts';
import type { Waited } from './pool.ts';
import type { TextJob, TextPiece, TextResult } from './texts.ts';

// How a task is served: a row of the table that the server, its worker threads and the command line receive.

/** Milliseconds by stage; `model` is everything between decoded pixels and those that are encoded. */
export interface StageTimings {
  readonly decode: number;
  readonly model: number;
  readonly encode: number;
}

/** What a worker answers for a picture. */
export interface PictureResult {
  readonly timings: StageTimings;
}

/** A file as the answer. */
export interface FileResult extends PictureResult {
  readonly file: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What every section of `config.json` of a model that takes a picture states. */
export interface PictureSpec {
  readonly inputName: string;
  readonly outputName: string;
}

/** One picture to be worked on. */
export interface PictureJob<Query = unknown> {
  /** NAME@VERSION of the model. */
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly info: PictureInfo;
  readonly query: Query;
}

/** What a job that lasts listens to, and whom it reports to. */
export interface JobHooks {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

export interface PictureAnswer<Result extends PictureResult = PictureResult> {
  readonly result: Result & Waited;
  readonly info: PictureInfo;
  /** NAME@VERSION of the model that did it. */
  readonly key: string;
}

/** A task whose input is a picture. */
export interface ServedPictureTask<
  C extends TaskContract = TaskContract,
  Result extends PictureResult = PictureResult,
> {
  readonly kind: 'picture';
  readonly contract: C;
  /** Throws a 4xx where the headers state that this request cannot be met. */
  check?(info: PictureInfo, query: QueryOf<C>): void;
  /** Dims of an input that every model of this contract takes, and of what must come back for it. */
  trialDims(spec: SpecOf<C>): { readonly input: readonly number[]; readonly output: readonly number[] };
  /** File in, answer out; in a worker thread. */
  run(job: PictureJob<QueryOf<C>>, session: Session, spec: SpecOf<C>, hooks: JobHooks): Promise<Result>;
  /** Writes the body; the headers that all answers have are set. */
  reply(response: Response, answer: PictureAnswer<Result>, query: QueryOf<C>): void;
}

/** What the answer to a request for texts is made with. */
export interface TextCall {
  /** NAME@VERSION of the model that writes. */
  readonly key: string;
  readonly response: Response;
  /** Writes after a prompt, until the client goes away or `signal` is aborted. */
  write(job: Omit<TextJob, 'key'>, onPiece?: (piece: TextPiece) => void, signal?: AbortSignal): Promise<TextResult>;
  /** Answers with server-sent events. */
  stream(work: (send: (data: unknown) => void) => Promise<void>): Promise<void>;
}

/** A task whose models are language models: they are held, and write, in the thread of the texts. */
export interface ServedTextTask<C extends TaskContract = TaskContract> {
  readonly kind: 'text';
  readonly contract: C;
  /** Answers a request whose body is `asked`. */
  answer(asked: QueryOf<C>, call: TextCall): Promise<void>;
}

export type ServedTask = ServedPictureTask | ServedTextTask;

/** What a module with a table of served tasks exports. */
export interface ServedModule {
  readonly servedTasks: readonly ServedTask[];
}

/** inStages: reads a picture, infers, and writes the answer, with the time of each. */
export async function inStages<Picture, Inferred, Result extends object>(
  read: () => Promise<Picture>,
  infer: (picture: Picture) => Promise<Inferred>,
  write: (inferred: Inferred, picture: Picture) => Result | Promise<Result>,
): Promise<Result & PictureResult> {
  const start = performance.now();
  const picture = await read();
  const decoded = performance.now();
  const inferred = await infer(picture);
  const computed = performance.now();
  const result = await write(inferred, picture);
  const timings = { decode: decoded - start, model: computed - decoded, encode: performance.now() - computed };
  return { ...result, timings };
}

/** Sends a finished file. Not send(): that would hash all of it for an ETag on the thread that serves HTTP. */
export function sendFile(response: Response, type: string, file: Uint8Array): void {
  response.type(type).set('Content-Length', String(file.byteLength));
  response.end(file);
}
