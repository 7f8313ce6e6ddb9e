import { randomInt } from 'node:crypto';
import express, { type Request, type RequestHandler, type Response } from 'express';
import type { ZodType, z } from 'zod';
import { textLimits } from '../../../tasks/text/contract.ts';
import { RequestError } from '../../errors.ts';
import { keyOf } from '../../serve/host.ts';
import type { Deps } from '../deps.ts';
import { notReady } from './pictures.ts';

// What the routes that write texts share.

/** Refuses before the body is read when there is no model or no place; a place is held until the texts have left the batch. */
export function admitText({ host, texts, isDraining }: Deps): RequestHandler {
  return (_request, response, next) => {
    if (isDraining()) throw new RequestError(503, 'draining', 'the server is shutting down', 5);
    if (host.loaded('text') === undefined) throw notReady(host, 'text');
    response.locals.leave = texts.admit();
    // A request that is refused later holds its place until its answer is gone; one that is worked on, until the work is done.
    response.on('close', () => response.locals.working === true || response.locals.leave());
    next();
  };
}

/** Holds the place of a request until `work` is over, though its client may go away before. */
export async function holdPlace<T>({ locals }: Response, work: () => Promise<T>): Promise<T> {
  locals.working = true;
  try {
    return await work();
  } finally {
    locals.leave();
  }
}

const parse = express.json({ limit: textLimits.bodyBytes, strict: true });

/** A JSON body, in memory. */
export const jsonBody: RequestHandler = (request, response, next) => {
  if (!request.is('application/json'))
    return next(new RequestError(415, 'unsupported-media-type', 'expected application/json'));
  parse(request, response, (error?: unknown) => next(error === undefined ? undefined : explain(error)));
};

function explain(error: unknown): RequestError {
  const { status, message } = error as { readonly status?: number; readonly message: string };
  if (status === 413)
    return new RequestError(413, 'too-large', `expected at most ${textLimits.bodyBytes} bytes, got more`);
  return new RequestError(400, 'bad-request', `expected a JSON object, got something else: ${message}`);
}

/** A 400 that names the field. */
export class FieldError extends RequestError {
  readonly field: string;

  constructor(field: string, message: string) {
    super(400, 'bad-request', `${field}: ${message}`);
    this.field = field;
  }
}

/** What the body says, or a 400 that names the field. */
export function parseBody<T>(schema: ZodType<T>, { body }: Request): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  if (unknown !== undefined) throw new FieldError(unknown, 'there is no such field');
  throw new FieldError(
    issue?.path.join('.') || 'body',
    issue === undefined ? 'expected something else' : explainIssue(issue, body),
  );
}

/** What was sent, in a few words. */
function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  const text = typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
};

/** `expected X, got Y` of what a schema says is wrong in `body`; words of our own schemas stay. */
export function explainIssue(issue: z.core.$ZodIssue, body: unknown): string {
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], body);
  const got = `, got ${describeValue(value)}`;
  const unit = typeof value === 'string' ? ' characters' : Array.isArray(value) ? ' entries' : '';
  if (issue.code === 'invalid_type') return `expected ${kinds[issue.expected] ?? issue.expected}${got}`;
  if (issue.code === 'too_small')
    return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unit}${got}`;
  if (issue.code === 'too_big')
    return `expected ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unit}${got}`;
  if (issue.code === 'invalid_union') return issue.message + got;
  return issue.message;
}

/** The version that answers. */
export function loadedKey({ host }: Deps): string {
  const version = host.loaded('text');
  if (version === undefined) throw notReady(host, 'text');
  return keyOf(version);
}

export const drawSeed = (): number => randomInt(2 ** 32);

/** Begins an answer of server-sent events. */
export function beginEvents(response: Response): void {
  response.set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
}

/** An event, unless its client has gone away. */
export function sendEvent(response: Response, data: unknown): void {
  if (!response.destroyed && !response.writableEnded)
    response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
}
