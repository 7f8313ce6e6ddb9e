import type { WebDevice } from '../training/run/ort.web.ts';
import type { SkippedDevice } from '../training/run/session.ts';
import { ApiError, type Client, type RestoreOptions } from './api.ts';
import type { LocalRestorer } from './local.ts';

/** Where a picture was restored, and why there. */
export type Place =
  | { readonly kind: 'server'; readonly model: string; readonly requestId: string; readonly frames: number }
  | {
      readonly kind: 'device';
      readonly model: string;
      readonly device: WebDevice;
      readonly threads: number;
      readonly skipped: readonly SkippedDevice[];
      /** Why not on the server: the user's wish, or what the server did. */
      readonly why: string;
    };

export interface Restored {
  readonly image: Blob;
  readonly place: Place;
  readonly seconds: number;
}

export interface Wish extends RestoreOptions {
  /** `auto`: the server, and this device when the server is away. */
  readonly on: 'auto' | 'device';
  readonly device: WebDevice | 'auto';
  /** Called when the server turns out to be away and this device takes over. */
  readonly onFallback?: (why: string) => void;
}

/** restorePhoto: the server first; when it is away or goes away, this device. Errors that are the photo's are thrown. */
export async function restorePhoto(client: Client, local: LocalRestorer, file: Blob, wish: Wish): Promise<Restored> {
  const start = performance.now();
  const done = (image: Blob, place: Place): Restored => ({ image, place, seconds: (performance.now() - start) / 1000 });
  let why = 'you asked for it';
  if (wish.on === 'auto') {
    try {
      const { image, ...rest } = await onServer(client, file, wish);
      return done(image, { kind: 'server', ...rest });
    } catch (error) {
      if (!(error instanceof ApiError && error.isAway)) throw error;
      why = reasonOf(error);
      wish.onFallback?.(why);
    }
  }
  const { scale = 1, format, quality, device, signal, onProgress } = wish;
  const job = { file, device, scale, ...(format && { format }), ...(quality && { quality }) };
  const { image, ...rest } = await local.restore(job, signal, onProgress);
  return done(image, { kind: 'device', why, ...rest });
}

const reasonOf = (error: ApiError): string =>
  error.status === 0 ? 'the server could not be reached' : `the server is not available (${error.code})`;

/** Asks the server and keeps an eye on it: a peer that vanished without a word would leave the request waiting for ever. */
async function onServer(client: Client, file: Blob, wish: Wish) {
  const gone = new AbortController();
  const finished = new AbortController();
  const signals = [gone.signal, ...(wish.signal ? [wish.signal] : [])];
  void watch(client, finished.signal, () =>
    gone.abort(new ApiError(0, 'unreachable', 'The server stopped answering.')),
  );
  try {
    return await client.restore(file, { ...wish, signal: AbortSignal.any(signals) });
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
