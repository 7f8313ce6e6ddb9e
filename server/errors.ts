import { FettleError, messageOf } from '../training/core/errors.ts';

/** What is wrong with a request: HTTP status, stable code, and a text for whoever sent it. */
export class RequestError extends Error {
  readonly status: number;
  readonly code: string;
  /** For `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** An error as it crosses from a worker thread; `status` is there for faults of the request. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly status?: number;
}

export function toPlain(error: unknown): PlainError {
  const message = messageOf(error);
  if (error instanceof RequestError) return { code: error.code, message, status: error.status };
  return { code: error instanceof FettleError ? error.code : 'internal', message };
}

export function fromPlain({ status, code, message }: PlainError): Error {
  if (status !== undefined) return new RequestError(status, code, message);
  return new FettleError(code === 'bad-model' ? 'bad-model' : 'internal', message);
}

/** What an error says to whoever sent the request; what is not theirs to know says nothing. */
export function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof FettleError && error.code === 'not-found')
    return new RequestError(404, 'not-found', error.message);
  if (hasStatus(error)) return new RequestError(error.status, 'bad-request', error.message);
  return new RequestError(500, 'internal', 'something went wrong here; the log has it under the request id');
}

/** What Express itself refuses (a path that does not decode, a range past the end) carries a 4xx status. */
const hasStatus = (error: unknown): error is Error & { readonly status: number } =>
  error instanceof Error &&
  'status' in error &&
  typeof error.status === 'number' &&
  error.status >= 400 &&
  error.status < 500;
