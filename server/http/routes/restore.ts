import { Router } from 'express';
import { restoreQuery } from '../../../tasks/restore/contract.ts';
import { outputFormat } from '../../serve/images.ts';
import type { Deps } from '../deps.ts';
import { pictureRoute, sendFile } from './pictures.ts';

/** `POST /v1/restore`: a picture in, the restored picture out. */
export function restoreRoutes(deps: Deps): Router {
  const router = Router();
  const handlers = pictureRoute(deps, {
    task: 'restore',
    query: restoreQuery,
    reply: (response, { result, info }, query) => sendFile(response, `image/${outputFormat(info, query)}`, result),
  });
  router.post('/v1/restore', ...handlers);
  return router;
}
