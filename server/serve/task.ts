import type { Response } from 'express';
import type { QueryOf, SpecOf, TaskContract } from '../../tasks/task.ts';
import { sizeOf, type Tensor, tensor } from '../../training/core/tensor.ts';
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

/** A file and what its headers state. */
export interface PictureFile {
  readonly bytes: Uint8Array;
  readonly info: PictureInfo;
}

/** One picture to be worked on: the file of the first input, and those of all inputs that came, by name. */
export interface PictureJob<Query = unknown> extends PictureFile {
  /** NAME@VERSION of the model. */
  readonly key: string;
  readonly files: Readonly<Record<string, PictureFile>>;
  readonly query: Query;
}

/** What a model is tried out with before it serves: its feeds, and the dims of the f32 outputs that must come back, by name. */
export interface Trial {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
}

/** greyTrial: a trial of a model with one input, of grey pixels f32[input], and one output. */
export const greyTrial = (
  spec: { readonly inputName: string; readonly outputName: string },
  input: readonly number[],
  output: readonly number[],
): Trial => ({
  feeds: { [spec.inputName]: tensor('float32', input, new Float32Array(sizeOf(input)).fill(0.5)) },
  outputs: { [spec.outputName]: output },
});

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
  /** Throws a 4xx where the headers of the first file state that this request cannot be met. */
  check?(info: PictureInfo, query: QueryOf<C>): void;
  /** What every model of this contract takes, and what must come back for it. */
  trial(spec: SpecOf<C>): Trial;
  /** Files in, answer out; in a worker thread. */
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
