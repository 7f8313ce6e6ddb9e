import express, { type Request, type RequestHandler, type Response, Router } from 'express';
import type { ZodType } from 'zod';
import { textLimits } from '../../../tasks/texts.ts';
import { type Fault, RequestError } from '../../errors.ts';
import { keyOf } from '../../serve/pictures.ts';
import type { TextCall } from '../../serve/task.ts';
import { admit, parseWith, splitModel, working } from '../admit.ts';
import type { Deps } from '../deps.ts';
import { streamEvents, untilClosed } from '../events.ts';

/** A route whose body is JSON and whose answer a language model writes. */
export interface TextRoute<Asked> {
  readonly path: string;
  /** The task whose models write. */
  readonly task: string;
  readonly body: ZodType<Asked>;
  answer(asked: Asked, call: TextCall): Promise<void>;
  /** What an error in the middle of a stream looks like. */
  readonly faultBody?: (fault: Fault) => object;
}

export function textRoutes<Asked>(deps: Deps, route: TextRoute<Asked>): Router {
  const router = Router();
  const { host, texts, log } = deps;
  const { path, task, body, faultBody } = route;
  const check = ({ query }: Request): void => {
    const { model } = splitModel(query, 'bad-query');
    // Which model is meant may be in the body, which nobody has read yet.
    if (model !== undefined || host.namesOf(task).length === 0) host.pick(task, model);
  };
  const answer = async (request: Request, response: Response): Promise<void> => {
    const given: unknown = request.body;
    const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
    const { model, rest } = isObject ? splitModel(given, 'bad-request') : { model: undefined, rest: given };
    const asked = parseWith(body, rest, 'bad-request', 'body');
    const key = keyOf(host.pick(task, model ?? splitModel(request.query, 'bad-query').model));
    const closed = untilClosed(response);
    response.set({ 'X-Model': key, 'Cache-Control': 'no-store' });
    const ownBody = ({ code, message }: Fault) => ({ error: { code, message }, requestId: String(request.id) });
    await route.answer(asked, {
      key,
      response,
      write: (job, onEvent, signal) =>
        texts.run({ ...job, key }, { signal: signal ? AbortSignal.any([closed, signal]) : closed, onEvent }),
      stream: (work) => streamEvents(response, log, faultBody ?? ownBody, work),
    });
  };
  router.post(path, admit(deps, texts.admission, check), jsonBody, working(answer));
  return router;
}

const parse = express.json({ limit: textLimits.bodyBytes, strict: true });

/** A JSON body, in memory. */
const jsonBody: RequestHandler = (request, response, next) => {
  if (!request.is('application/json'))
    return next(new RequestError('unsupported-media-type', 'expected application/json'));
  parse(request, response, (error?: unknown) => next(error === undefined ? undefined : explain(error)));
};

function explain(error: unknown): RequestError {
  const { status, message } = error as { readonly status?: number; readonly message: string };
  if (status === 413) return new RequestError('too-large', `expected at most ${textLimits.bodyBytes} bytes, got more`);
  return new RequestError('bad-request', `expected a JSON object, got something else: ${message}`);
}
