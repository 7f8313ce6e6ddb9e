import { type Request, type RequestHandler, type Response, Router } from 'express';
import { restoreQuery } from '../contract.ts';
import type { Deps } from '../deps.ts';
import { RequestError } from '../errors.ts';
import type { ModelHost } from '../host.ts';
import type { PoolResult } from '../pool.ts';
import { restorePicture } from '../restore-picture.ts';
import type { ModelVersion } from '../store.ts';
import { uploadImage } from '../upload.ts';

/** `POST /v1/restore`: a picture in, the restored picture out. */
export function restoreRoutes(deps: Deps): Router {
  const router = Router();
  router.post('/v1/restore', admit(deps), uploadImage, (request, response) => restore(deps, request, response));
  return router;
}

/** Refuses before the body is read when there is no model or no place in the queue. */
function admit({ host, pool, isDraining }: Deps): RequestHandler {
  return (_request, response, next) => {
    if (isDraining()) throw new RequestError(503, 'draining', 'the server is shutting down', 5);
    if (host.loaded('restore') === undefined) throw notReady(host);
    response.on('close', pool.admit());
    next();
  };
}

const notReady = (host: ModelHost): RequestError =>
  new RequestError(503, 'not-ready', `cannot restore yet: ${host.whyNotReady() ?? 'there is no restore model'}`, 10);

async function restore({ host, pool }: Deps, request: Request, response: Response): Promise<void> {
  const parsed = restoreQuery.safeParse(request.query);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new RequestError(400, 'bad-query', `${issue?.path.join('.') || 'query'}: ${issue?.message}`);
  }
  const bytes = request.file?.buffer;
  if (bytes === undefined) throw new RequestError(400, 'bad-upload', 'expected a file in the field image, got none');
  const loaded = (): ModelVersion => {
    const version = host.loaded('restore');
    if (version === undefined) throw notReady(host);
    return version;
  };
  const options = { signal: untilClosed(response) };
  const { result, info, format, key } = await restorePicture(pool, loaded, bytes, parsed.data, options);
  response.set({ 'X-Model': key, 'Server-Timing': serverTiming(result), 'Cache-Control': 'no-store' });
  if (info.frames > 1) response.set('X-First-Frame-Of', String(info.frames));
  response.type(`image/${format}`);
  // Not send(): that would hash the whole picture for an ETag on the thread that serves HTTP.
  response.set('Content-Length', String(result.file.byteLength));
  response.end(result.file);
}

/** Aborts when the client goes away before its answer is complete. */
function untilClosed(response: Response): AbortSignal {
  const controller = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  if (response.destroyed) controller.abort();
  return controller.signal;
}

const serverTiming = ({ queueMs, timings }: PoolResult): string =>
  Object.entries({ queue: queueMs, ...timings })
    .map(([stage, ms]) => `${stage};dur=${ms.toFixed(1)}`)
    .join(', ');
