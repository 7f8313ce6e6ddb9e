import { FettleError, messageOf } from '../training/core/errors.ts';

/** What a request can be answered with other than a success: code -> status, and what it means. `docs/reference/http.md` has the same table. */
export const requestErrors = {
  'bad-request': [
    400,
    'a body that is not valid JSON, or a field that is missing, unknown or out of range; the text names it',
  ],
  'bad-query': [400, 'a query field that is unknown or out of range'],
  'bad-upload': [400, 'not exactly one file in the field `image`'],
  'bad-image': [400, 'the file is empty, cut off or damaged'],
  'not-found': [404, 'no such route, model, version or file'],
  'no-page': [404, 'the page has not been built'],
  'model-not-found': [
    404,
    'no active model has that name, or it is of another task; `model_not_found` on `/v1/completions`',
  ],
  'model-not-active': [
    409,
    'another version of the model is active; the text has the command that changes it; `model_not_found` (404) on `/v1/completions`',
  ],
  'too-large': [413, 'a JSON body of more than 64 000 bytes'],
  'file-too-large': [413, 'more than 40 MB'],
  'image-too-large': [413, 'too many pixels or frames'],
  'output-too-large': [413, 'the result would have more than 100 megapixels'],
  'too-much-metadata': [413, 'more than 8 MiB or 1000 pieces of text inside a PNG'],
  'unsupported-media-type': [415, 'not `multipart/form-data`, or not `application/json`, as the route requires'],
  'unsupported-image': [415, 'a format that is not read, such as HEIC or BMP; the text explains what to do'],
  cancelled: [499, 'the client disconnected before the response (in the log only)'],
  internal: [500, 'a bug in fettle'],
  busy: [503, 'too many requests in flight; `Retry-After` gives the delay'],
  'not-ready': [503, 'no model of this task is loaded, or its worker died and has not loaded it again'],
  draining: [503, 'the server is shutting down'],
} as const satisfies Readonly<Record<string, readonly [status: number, means: string]>>;

export type RequestCode = keyof typeof requestErrors;

/** What a request is answered with when it fails. */
export interface Fault {
  readonly status: number;
  readonly code: RequestCode;
  readonly message: string;
  /** For `Retry-After`. */
  readonly retryAfterSeconds?: number | undefined;
  /** The field of the request that is wrong. */
  readonly field?: string | undefined;
}

/** What is wrong with a request, for whoever sent it; `field: message` where it is a field of it. */
export class RequestError extends Error implements Fault {
  readonly code: RequestCode;
  readonly retryAfterSeconds: number | undefined;
  readonly field: string | undefined;

  constructor(
    code: RequestCode,
    message: string,
    more: { readonly retryAfterSeconds?: number; readonly field?: string } = {},
  ) {
    super(more.field === undefined ? message : `${more.field}: ${message}`);
    this.name = 'RequestError';
    this.code = code;
    this.retryAfterSeconds = more.retryAfterSeconds;
    this.field = more.field;
  }

  get status(): number {
    return requestErrors[this.code][0];
  }
}

/** An error as it crosses from a worker thread; `fault` is there for what is wrong with the request. */
export interface PlainError {
  readonly message: string;
  readonly fault?: RequestCode;
  readonly badModel: boolean;
}

export const toPlain = (error: unknown): PlainError => ({
  message: messageOf(error),
  badModel: error instanceof FettleError && error.code === 'bad-model',
  ...(error instanceof RequestError && { fault: error.code }),
});

export const fromPlain = ({ fault, badModel, message }: PlainError): Error =>
  fault === undefined
    ? new FettleError(badModel ? 'bad-model' : 'internal', message)
    : new RequestError(fault, message);

/** What an error states to whoever sent the request; internal errors reveal nothing. */
export function faultOf(error: unknown): Fault {
  if (error instanceof RequestError) return error;
  if (error instanceof FettleError && error.code === 'not-found') return new RequestError('not-found', error.message);
  if (hasStatus(error)) return { status: error.status, code: 'bad-request', message: error.message };
  return new RequestError('internal', 'something went wrong here; the log has it under the request id');
}

/** What Express itself refuses (a path that does not decode, a range past the end) carries a 4xx status. */
const hasStatus = (error: unknown): error is Error & { readonly status: number } =>
  error instanceof Error &&
  'status' in error &&
  typeof error.status === 'number' &&
  error.status >= 400 &&
  error.status < 500;
