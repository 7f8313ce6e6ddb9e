import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { pinoHttp } from 'pino-http';
import { routeOf } from '../../tasks/task.ts';
import type { ErrorBody } from '../contract.ts';
import { RequestError } from '../errors.ts';
import type { Deps } from './deps.ts';
import { answerErrors } from './fault.ts';
import { completionRoutes } from './routes/completions.ts';
import { healthRoutes } from './routes/health.ts';
import { modelRoutes } from './routes/models.ts';
import { pageRoutes } from './routes/page.ts';
import { pictureRoutes } from './routes/pictures.ts';
import { textRoutes } from './routes/texts.ts';

/** createApp: the application, not listening yet. */
export function createApp(deps: Deps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.use(requestLog(deps), securityHeaders(), healthRoutes(deps), modelRoutes(deps));
  for (const task of deps.tasks) {
    const { contract } = task;
    if (task.kind === 'picture') app.use(pictureRoutes(deps, task));
    else app.use(textRoutes(deps, { ...task, path: routeOf(contract), task: contract.name, body: contract.query }));
  }
  app.use(completionRoutes(deps), pageRoutes(deps));
  app.use((request) => {
    throw new RequestError('not-found', `nothing answers ${request.method} ${request.path}`);
  });
  app.use(
    answerErrors(deps.log, ({ code, message }, requestId): ErrorBody => ({ error: { code, message }, requestId })),
  );
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
