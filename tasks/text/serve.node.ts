import { type Request, type Response, Router } from 'express';
import { asRequestError } from '../../server/errors.ts';
import type { Deps } from '../../server/http/deps.ts';
import { untilClosed } from '../../server/http/routes/pictures.ts';
import {
  admitText,
  beginEvents,
  drawSeed,
  holdPlace,
  jsonBody,
  loadedKey,
  parseBody,
  sendEvent,
} from '../../server/http/routes/texts.ts';
import type { TextJob } from '../../server/serve/text/protocol.ts';
import { type GenerateBody, type GenerateEvent, generateRequest } from './contract.ts';

/** `POST /v1/generate`: texts that go on where a prompt ends. */
export function generateRoutes(deps: Deps): Router {
  const router = Router();
  router.post('/v1/generate', admitText(deps), jsonBody, (request, response) =>
    holdPlace(response, () => generate(deps, request, response)),
  );
  return router;
}

async function generate(deps: Deps, request: Request, response: Response): Promise<void> {
  const { stream, seed = drawSeed(), ...options } = parseBody(generateRequest, request);
  const key = loadedKey(deps);
  const job: TextJob = { key, seed, ...options };
  response.set({ 'X-Model': key, 'Cache-Control': 'no-store' });
  const write = async (onPiece?: (piece: GenerateEvent) => void): Promise<GenerateBody> => {
    const signal = untilClosed(response);
    const { candidates } = await deps.texts.write(job, { signal, ...(onPiece && { onPiece }) });
    return { model: key, seed, candidates };
  };
  if (!stream) return void response.json(await write());
  beginEvents(response);
  try {
    sendEvent(response, await write((piece) => sendEvent(response, piece)));
  } catch (error) {
    // The status is out already.
    const { code, message, status } = asRequestError(error);
    if (status >= 500) deps.log.error({ err: error, requestId: request.id }, 'request failed');
    sendEvent(response, { error: { code, message }, requestId: String(request.id) });
  }
  response.end();
}
