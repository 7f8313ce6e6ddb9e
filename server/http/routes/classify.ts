import { Router } from 'express';
import { type ClassifyBody, classifyQuery } from '../../../tasks/classify/contract.ts';
import type { Deps } from '../deps.ts';
import { pictureRoute } from './pictures.ts';

/** `POST /v1/classify`: a picture in, what it shows out. */
export function classifyRoutes(deps: Deps): Router {
  const router = Router();
  const handlers = pictureRoute(deps, {
    task: 'classify',
    query: classifyQuery,
    reply: (response, { result }) => {
      const body: ClassifyBody = { labels: result.labels };
      response.json(body);
    },
  });
  router.post('/v1/classify', ...handlers);
  return router;
}
