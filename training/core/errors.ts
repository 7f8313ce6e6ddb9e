/** Codes of every error that fettle raises on purpose; `docs/reference/errors.md` explains each. */
export type ErrorCode =
  | 'bad-argument'
  | 'bad-shape'
  | 'bad-dtype'
  | 'bad-model'
  | 'bad-data'
  | 'bad-checkpoint'
  | 'no-device'
  | 'not-found'
  | 'exists'
  | 'busy'
  | 'unsupported'
  | 'stopped'
  | 'internal';

/** An error with a stable `code`; the text reads `where: expected X, got Y; what to do`. */
export class FettleError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FettleError';
    this.code = code;
  }
}

/** Throws a {@link FettleError} unless `condition` holds. `text` is called only on failure. */
export function ensure(condition: unknown, code: ErrorCode, text: () => string): asserts condition {
  if (!condition) throw new FettleError(code, text());
}

/** messageOf: what was thrown -> its message, or the text of what is no Error. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
