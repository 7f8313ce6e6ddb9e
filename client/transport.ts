import type { Progress } from './api.ts';

export interface Outgoing {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly body?: FormData;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Blob;
}

/** Sends one request. Any answer is a {@link Reply}; none is an {@link Unreachable}; an abort throws the signal's reason. */
export type Send = (outgoing: Outgoing) => Promise<Reply>;

/** No answer came: refused, reset, timed out, or no network. */
export class Unreachable extends Error {
  constructor(options?: ErrorOptions) {
    super('The server could not be reached.', options);
    this.name = 'Unreachable';
  }
}

/** Sends JSON, and gives the answer as soon as it begins: what is in it may still be on its way. Throws as a {@link Send} does. */
export async function openAnswer(url: string, json: unknown, signal: AbortSignal | undefined): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  try {
    return await fetch(url, { method: 'POST', headers, body: JSON.stringify(json), signal: signal ?? null });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new Unreachable({ cause });
  }
}

/** Over fetch: works everywhere, reports no upload progress. */
export async function fetchSend({ method, url, body, signal, onProgress }: Outgoing): Promise<Reply> {
  onProgress?.({ phase: 'run' });
  try {
    const response = await fetch(url, { method, body: body ?? null, signal: signal ?? null });
    return { status: response.status, headers: response.headers, body: await response.blob() };
  } catch (cause) {
    signal?.throwIfAborted();
    throw new Unreachable({ cause });
  }
}
