import { Router } from 'express';
import { segmentQuery } from '../../../tasks/segment/contract.ts';
import type { Deps } from '../deps.ts';
import { pictureRoute, sendFile } from './pictures.ts';

/** `POST /v1/segment`: a picture in, the class of every pixel out. */
export function segmentRoutes(deps: Deps): Router {
  const router = Router();
  const handlers = pictureRoute(deps, {
    task: 'segment',
    query: segmentQuery,
    reply: (response, { result }, { output }) =>
      sendFile(response, output === 'json' ? 'application/json' : 'image/png', result),
  });
  router.post('/v1/segment', ...handlers);
  return router;
}
