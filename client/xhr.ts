import { type Outgoing, type Reply, Unreachable } from './transport.ts';

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
    request.upload.onload = () => onProgress?.({ phase: 'run' });
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
