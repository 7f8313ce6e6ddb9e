import type { WebDevice } from '../training/run/ort.web.ts';
import type { SkippedDevice } from '../training/run/session.ts';
import { type AnswerFacts, ApiError, type CallOptions, type Client } from './api.ts';
import type { DoneHere } from './local/task.ts';

/** Where it was done, and why there. */
export type Place =
  | ({ readonly kind: 'server' } & AnswerFacts)
  | {
      readonly kind: 'device';
      readonly model: string;
      readonly device: WebDevice;
      readonly threads: number;
      readonly skipped: readonly SkippedDevice[];
      /** Why not on the server: the user's wish, or what the server did. */
      readonly why: string;
    };

export interface Done<R> {
  readonly result: R;
  readonly place: Place;
  readonly seconds: number;
}

export interface Wish extends CallOptions {
  /** `auto`: the server, and this device when the server is away. */
  readonly on: 'auto' | 'device';
  readonly device: WebDevice | 'auto';
  /** Called when the server turns out to be away and this device takes over. */
  readonly onFallback?: (why: string) => void;
}

/** The two ways to the same result. */
export interface Ways<R> {
  server(options: CallOptions): Promise<AnswerFacts & { readonly result: R }>;
  device(options: CallOptions): Promise<DoneHere<R>>;
}

/** serverOrDevice: the server first; when it is away or goes away, this device. Errors that are the photo's are thrown. */
export async function serverOrDevice<R>(client: Client, wish: Wish, ways: Ways<R>): Promise<Done<R>> {
  const start = performance.now();
  const done = (result: R, place: Place): Done<R> => ({ result, place, seconds: (performance.now() - start) / 1000 });
  let why = 'you asked for it';
  if (wish.on === 'auto') {
    try {
      const { result, ...facts } = await onServer(client, wish, ways);
      return done(result, { kind: 'server', ...facts });
    } catch (error) {
      if (!(error instanceof ApiError && error.isAway)) throw error;
      why = reasonOf(error);
      wish.onFallback?.(why);
    }
  }
  const { result, ...where } = await ways.device(wish);
  return done(result, { kind: 'device', why, ...where });
}

const reasonOf = (error: ApiError): string =>
  error.status === 0 ? 'the server could not be reached' : `the server is not available (${error.code})`;

/** Asks the server and keeps an eye on it: a peer that vanished without a word would leave the request waiting for ever. */
async function onServer<R>(client: Client, { signal, onProgress, model }: Wish, ways: Ways<R>) {
  const gone = new AbortController();
  const finished = new AbortController();
  const signals = [gone.signal, ...(signal ? [signal] : [])];
  void watch(client, finished.signal, () =>
    gone.abort(new ApiError(0, 'unreachable', 'The server stopped answering.')),
  );
  try {
    const options = { ...(onProgress && { onProgress }), ...(model !== undefined && { model }) };
    return await ways.server({ signal: AbortSignal.any(signals), ...options });
  } finally {
    finished.abort();
  }
}

const beatMs = 1000;
const patienceMs = 2000;

/** Asks after the server's health until `stop`; two questions in a row without an answer and it is gone. */
async function watch(client: Client, stop: AbortSignal, gone: () => void): Promise<void> {
  let missed = 0;
  while (missed < 2) {
    await new Promise((resolve) => setTimeout(resolve, beatMs));
    if (stop.aborted) return;
    const signal = AbortSignal.any([stop, AbortSignal.timeout(patienceMs)]);
    missed = (await client.health({ signal })) === 'away' ? missed + 1 : 0;
  }
  if (!stop.aborted) gone();
}
