import { Router } from 'express';
import type { HealthBody } from '../../contract.ts';
import type { Deps } from '../deps.ts';

/** `GET /health/live`: the process answers. `GET /health/ready`: every model that should serve is loaded, and it is not shutting down. */
export function healthRoutes({ host, isDraining }: Deps): Router {
  const router = Router();
  router.get('/health/live', (_request, response) => {
    const body: HealthBody = { status: 'ok' };
    response.set('Cache-Control', 'no-store').json(body);
  });
  router.get('/health/ready', (_request, response) => {
    const reason = isDraining() ? 'shutting down' : host.unavailableReason();
    const body: HealthBody = reason === undefined ? { status: 'ok' } : { status: 'unavailable', reason };
    response.set('Cache-Control', 'no-store');
    response.status(reason === undefined ? 200 : 503).json(body);
  });
  return router;
}
