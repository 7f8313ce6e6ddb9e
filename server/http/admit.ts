import type { Request, RequestHandler, Response } from 'express';
import type { ZodType } from 'zod';
import { explainSchema } from '../../training/core/explain.ts';
import { RequestError } from '../errors.ts';
import { type Admission, draining } from '../serve/admission.ts';
import type { Deps } from './deps.ts';

// What every route that runs a model does before and around its work.

/** Refuses a request before its body is read: when the server stops, when `check` throws, and when there is no place in the queue. */
export function admit({ isDraining }: Deps, admission: Admission, check: (request: Request) => void): RequestHandler {
  return (request, response, next) => {
    if (isDraining()) throw draining();
    check(request);
    const leave = admission.enter();
    // A place is held until the answer is gone and the work on it is over, though its client may go away before.
    response.on('close', () => void Promise.allSettled([response.locals.work]).then(leave));
    next();
  };
}

/** The handler of an admitted request. */
export const working =
  (work: (request: Request, response: Response) => Promise<void>): RequestHandler =>
  (request, response) => {
    const done = work(request, response);
    response.locals.work = done;
    return done;
  };

/** parseWith: what `value` states, or a 400 that names the field; `whole` names the value where no field is wrong. */
export function parseWith<T>(schema: ZodType<T>, value: unknown, code: 'bad-query' | 'bad-request', whole: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { field, message } = explainSchema(parsed.error, value);
  throw new RequestError(code, message, { field: field || whole });
}

/** Takes `model`, which every route has, out of a query or a body. */
export function splitModel(
  value: object,
  code: 'bad-query' | 'bad-request',
): { model: string | undefined; rest: object } {
  const { model, ...rest } = value as { readonly model?: unknown };
  if (model !== undefined && model !== null && typeof model !== 'string')
    throw new RequestError(code, 'expected NAME or NAME@VERSION, got something else', { field: 'model' });
  return { model: model ?? undefined, rest };
}
