import { Router } from 'express';
import type { AnyModelInfo, ModelsBody } from '../../contract.ts';
import { RequestError } from '../../errors.ts';
import type { Deps } from '../deps.ts';

/** `GET /v1/models`: what serves. `GET /v1/models/NAME/VERSION/files/FILE`: a version's files, for the browser. */
export function modelRoutes({ host, store }: Deps): Router {
  const router = Router();
  router.get('/v1/models', async (_request, response) => {
    const body: ModelsBody<AnyModelInfo> = { models: await host.list() };
    response.set('Cache-Control', 'no-cache').json(body);
  });
  router.get('/v1/models/:name/:version/files/:file', async (request, response) => {
    const { name, version, file } = request.params;
    if (!/^[a-z][a-z0-9-]*$/.test(name) || !/^[1-9]\d{0,8}$/.test(version)) {
      throw new RequestError('not-found', 'expected /v1/models/NAME/VERSION/files/FILE');
    }
    const found = await store.resolve(`${name}@${version}`);
    const bytes = await store.read(found, file);
    response.set('Cache-Control', 'public, max-age=31536000, immutable');
    response.set('ETag', `"${found.config.files[file]?.sha256}"`);
    response.type(file.endsWith('.md') || !file.includes('.') ? 'text/plain' : 'application/octet-stream');
    response.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  });
  return router;
}
