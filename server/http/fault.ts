import type { ErrorRequestHandler, Request, Response } from 'express';
import type { Logger } from 'pino';
import { type Fault, faultOf, RequestError } from '../errors.ts';
import { limits } from '../serve/images.ts';

/** answerErrors: the last handler of a router. Faults of the request explain themselves; ours are logged under the request id and say nothing. */
export function answerErrors(
  log: Logger,
  bodyOf: (fault: Fault, requestId: string) => object,
  statusOf: (fault: Fault) => number = ({ status }) => status,
): ErrorRequestHandler {
  return (error: unknown, request: Request, response: Response, _next) => {
    const fault = faultOf(error);
    if (fault.status >= 500 && !(error instanceof RequestError))
      log.error({ err: error, requestId: request.id }, 'request failed');
    if (response.headersSent || response.destroyed) return void response.destroy();
    if (fault.retryAfterSeconds !== undefined) response.set('Retry-After', String(fault.retryAfterSeconds));
    // The rest of a refused upload is read and dropped, so that the client gets to see the answer, unless it has no end.
    if (!(Number(request.headers['content-length'] ?? 0) <= 2 * limits.uploadBytes))
      response.set('Connection', 'close');
    response.status(statusOf(fault)).json(bodyOf(fault, String(request.id)));
  };
}
