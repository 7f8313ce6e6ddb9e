import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import helmet from 'helmet';
import { pinoHttp } from 'pino-http';
import { generateRoutes } from '../../tasks/text/serve.node.ts';
import type { ErrorBody } from '../contract.ts';
import { asRequestError, RequestError } from '../errors.ts';
import { limits } from '../serve/images.ts';
import type { Deps } from './deps.ts';
import { classifyRoutes } from './routes/classify.ts';
import { completionRoutes } from './routes/completions.ts';
import { healthRoutes } from './routes/health.ts';
import { modelRoutes } from './routes/models.ts';
import { pageRoutes } from './routes/page.ts';
import { restoreRoutes } from './routes/restore.ts';
import { segmentRoutes } from './routes/segment.ts';

/** createApp: the application, not listening yet. */
export function createApp(deps: Deps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.use(requestLog(deps), securityHeaders());
  const pictures = [restoreRoutes, segmentRoutes, classifyRoutes];
  const all = [healthRoutes, modelRoutes, ...pictures, generateRoutes, completionRoutes, pageRoutes];
  for (const routes of all) app.use(routes(deps));
  app.use((request) => {
    throw new RequestError(404, 'not-found', `nothing answers ${request.method} ${request.path}`);
  });
  app.use(answerError(deps));
  return app;
}

/** A line per request with an id that the answer carries too; a client's own id is taken where it is harmless. */
function requestLog({ log }: Deps): RequestHandler {
  return pinoHttp({
    logger: log,
    genReqId: (request: IncomingMessage, response: ServerResponse) => {
      const given = request.headers['x-request-id'];
      const id = typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : randomUUID();
      response.setHeader('X-Request-Id', id);
      return id;
    },
    serializers: {
      req: ({ id, method, url }: { id: string; method: string; url: string }) => ({ id, method, url }),
      res: ({ statusCode }: { statusCode: number }) => ({ statusCode }),
    },
    customLogLevel: (_request, response, error) =>
      error !== undefined || response.statusCode >= 500 ? 'error' : response.statusCode >= 400 ? 'warn' : 'info',
  });
}

/** Everything from here; WebAssembly may compile; isolation, so that its threads may share memory. */
function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
        workerSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'blob:', 'data:'],
        connectSrc: ["'self'"],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    crossOriginEmbedderPolicy: { policy: 'require-corp' },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    strictTransportSecurity: false, // plain HTTP; whoever puts TLS in front adds it there
  });
}

/** Faults of the request explain themselves; ours are logged under the request id and say nothing. */
function answerError({ log }: Deps): ErrorRequestHandler {
  return (error: unknown, request: Request, response: Response, _next) => {
    const fault = asRequestError(error);
    if (fault.status >= 500 && !(error instanceof RequestError))
      log.error({ err: error, requestId: request.id }, 'request failed');
    if (response.headersSent || response.destroyed) return void response.destroy();
    if (fault.retryAfterSeconds !== undefined) response.set('Retry-After', String(fault.retryAfterSeconds));
    // The rest of a refused upload is read and dropped, so that the client gets to see the answer, unless it has no end.
    if (!(Number(request.headers['content-length'] ?? 0) <= 2 * limits.uploadBytes))
      response.set('Connection', 'close');
    const body: ErrorBody = { error: { code: fault.code, message: fault.message }, requestId: String(request.id) };
    response.status(fault.status).json(body);
  };
}
