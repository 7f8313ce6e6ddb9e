import { existsSync } from 'node:fs';
import { join } from 'node:path';
import express, { Router } from 'express';
import { RequestError } from '../../errors.ts';
import type { Deps } from '../deps.ts';

/** The built pages, `NAME.html` at `/NAME`: hashed assets are kept for ever, everything else is asked for again each time. */
export function pageRoutes({ clientDir }: Deps): Router {
  const router = Router();
  if (!existsSync(join(clientDir, 'index.html'))) {
    router.get('/', () => {
      throw new RequestError('no-page', 'the page is not built; run npm run build');
    });
    return router;
  }
  router.get('/', ({ originalUrl, baseUrl }, response, next) => {
    const [path = '', query] = originalUrl.split(/(?=\?)/);
    // Addresses in a page are relative to its folder, which `/photos` is not; this one is relative too, for a proxy may have cut the path.
    if (path.endsWith('/')) next();
    else response.redirect(`${baseUrl.split('/').at(-1)}/${query ?? ''}`);
  });
  router.use(
    '/assets',
    express.static(join(clientDir, 'assets'), { immutable: true, maxAge: '1y', index: false, redirect: false }),
  );
  router.use(
    express.static(clientDir, {
      extensions: ['html'],
      redirect: false,
      setHeaders: (response) => void response.setHeader('Cache-Control', 'no-cache'),
    }),
  );
  return router;
}
