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

/** Over fetch: works everywhere, tells nothing of how far the upload is. */
export async function fetchSend({ method, url, body, signal, onProgress }: Outgoing): Promise<Reply> {
  onProgress?.({ phase: 'restore' });
  try {
    const response = await fetch(url, { method, body: body ?? null, signal: signal ?? null });
    return { status: response.status, headers: response.headers, body: await response.blob() };
  } catch (cause) {
    signal?.throwIfAborted();
    throw new Unreachable({ cause });
  }
}

const share = (event: ProgressEvent): { readonly fraction?: number } =>
  event.lengthComputable && event.total > 0 ? { fraction: event.loaded / event.total } : {};

/** Over XMLHttpRequest: the one way in a browser to learn how far an upload is. */
export function xhrSend({ method, url, body, signal, onProgress }: Outgoing): Promise<Reply> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = (): void => request.abort();
    request.open(method, url);
    request.responseType = 'blob';
    request.upload.onprogress = (event) => onProgress?.({ phase: 'upload', ...share(event) });
    request.upload.onload = () => onProgress?.({ phase: 'restore' });
    request.onprogress = (event) => onProgress?.({ phase: 'download', ...share(event) });
    request.onload = () => resolve(replyOf(request));
    request.onerror = () => reject(new Unreachable());
    request.onabort = () => reject(signal?.reason ?? new Unreachable());
    request.onloadend = () => signal?.removeEventListener('abort', abort);
    signal?.addEventListener('abort', abort, { once: true });
    request.send(body ?? null);
  });
}

function replyOf(request: XMLHttpRequest): Reply {
  const headers = new Headers();
  for (const line of request.getAllResponseHeaders().trim().split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { status: request.status, headers, body: request.response as Blob };
}
