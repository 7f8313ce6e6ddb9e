import type { Request, RequestHandler, Response } from 'express';
import type { ZodError, ZodType } from 'zod';
import type { ModelConfig } from '../../../tasks/config.ts';
import { RequestError } from '../../errors.ts';
import type { ModelHost } from '../../serve/host.ts';
import { type PictureAnswer, runPicture } from '../../serve/pictures.ts';
import type { PictureTask, QueryOf, ResultOf } from '../../serve/task.ts';
import type { ModelVersion } from '../../store/store.ts';
import type { Deps } from '../deps.ts';
import { uploadImage } from '../upload.ts';

/** What a route that takes a picture adds to what all of them do. */
export interface PictureRoute<T extends PictureTask> {
  readonly task: T;
  readonly query: ZodType<QueryOf<T>>;
  /** Writes the body; the headers that all answers have are set. */
  readonly reply: (response: Response, answer: PictureAnswer<T>, query: QueryOf<T>) => void;
}

/** The handlers of a route that takes a picture: admit, receive, check, work, answer. */
export function pictureRoute<T extends PictureTask>(deps: Deps, route: PictureRoute<T>): RequestHandler[] {
  return [admit(deps, route.task), uploadImage, (request, response) => work(deps, route, request, response)];
}

/** Refuses before the body is read when there is no model or no place in the queue. */
function admit({ host, pool, isDraining }: Deps, task: PictureTask): RequestHandler {
  return (_request, response, next) => {
    if (isDraining()) throw new RequestError(503, 'draining', 'the server is shutting down', 5);
    if (host.loaded(task) === undefined) throw notReady(host, task);
    response.on('close', pool.admit());
    next();
  };
}

export const notReady = (host: ModelHost, task: ModelConfig['task']): RequestError =>
  new RequestError(
    503,
    'not-ready',
    `cannot ${task} yet: ${host.whyNotReady(task) ?? `no ${task} model is loaded`}`,
    10,
  );

async function work<T extends PictureTask>(
  { host, pool }: Deps,
  { task, query: schema, reply }: PictureRoute<T>,
  request: Request,
  response: Response,
): Promise<void> {
  const query = parseQuery(schema, request.query);
  const bytes = request.file?.buffer;
  if (bytes === undefined) throw new RequestError(400, 'bad-upload', 'expected a file in the field image, got none');
  const loaded = (): ModelVersion => {
    const version = host.loaded(task);
    if (version === undefined) throw notReady(host, task);
    return version;
  };
  const options = { signal: untilClosed(response) };
  const answer = await runPicture(pool, loaded, { task, bytes, query }, options);
  const { queueMs, timings } = answer.result;
  response.set({
    'X-Model': answer.key,
    'Server-Timing': serverTiming({ queue: queueMs, ...timings }),
    'Cache-Control': 'no-store',
  });
  if (answer.info.frames > 1) response.set('X-First-Frame-Of', String(answer.info.frames));
  reply(response, answer, query);
}

/** What the query says, or a 400 that names the field. */
export function parseQuery<Q>(schema: ZodType<Q>, query: Request['query']): Q {
  const parsed = schema.safeParse(query);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new RequestError(400, 'bad-query', `${issue?.path.join('.') || 'query'}: ${wordsOf(issue)}`);
}

/** The issue in the words of our other errors. */
function wordsOf(issue: ZodError['issues'][number] | undefined): string | undefined {
  if (issue?.code !== 'invalid_value') return issue?.message;
  return `expected one of ${issue.values.join(', ')}`;
}

/** Aborts when the client goes away before its answer is complete. */
export function untilClosed(response: Response): AbortSignal {
  const controller = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  if (response.destroyed) controller.abort();
  return controller.signal;
}

/** Milliseconds by stage as the header has them. */
export const serverTiming = (stages: Readonly<Record<string, number>>): string =>
  Object.entries(stages)
    .map(([stage, ms]) => `${stage};dur=${ms.toFixed(1)}`)
    .join(', ');

/** Sends a finished file. Not send(): that would hash all of it for an ETag on the thread that serves HTTP. */
export function sendFile(response: Response, type: string, { file }: Pick<ResultOf<'restore'>, 'file'>): void {
  response.type(type).set('Content-Length', String(file.byteLength));
  response.end(file);
}
