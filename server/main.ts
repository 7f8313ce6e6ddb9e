import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { FettleError, messageOf } from '../training/core/errors.ts';
import { createService, type ServiceOptions } from './service.ts';

export interface ServerOptions extends ServiceOptions {
  /** 8080 by default; 0 takes a free one. */
  readonly port?: number;
  /** 127.0.0.1 by default: nobody else can reach it. */
  readonly host?: string;
}

export interface RunningServer {
  readonly url: string;
  /** Requests that are uploading, waiting or running. */
  inFlight(): number;
  /** Stops taking requests, finishes those in flight (30 s at most), ends the workers. */
  close(): Promise<void>;
}

/**
 * startServer: takes the port, then loads what should serve; requests that come meanwhile wait. Without a model it starts too, and is not ready.
 * Throws `bad-argument` where it cannot listen.
 */
export async function startServer({
  port = 8080,
  host = '127.0.0.1',
  ...options
}: ServerOptions = {}): Promise<RunningServer> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5000 });
  let begin: (app: RequestListener) => void = () => undefined;
  const app = new Promise<RequestListener>((resolve) => {
    begin = resolve;
  });
  server.on('request', async (request, response) => (await app)(request, response));
  await listen(server, port, host);
  const service = await createService(options).catch((error: unknown) => {
    server.close().closeAllConnections();
    throw error;
  });
  begin(service.app);
  return {
    url: urlOf(server),
    inFlight: () => service.inFlight(),
    close: async () => {
      service.drain();
      await drain(server, () => service.inFlight());
      await service.close();
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => {
      const text = `startServer: expected to listen on port ${port} of ${host}, got ${messageOf(error)}`;
      reject(
        new FettleError('bad-argument', `${text}; choose others with --port (0 takes a free one) and --host`, {
          cause: error,
        }),
      );
    };
    server.once('error', refuse);
    server.listen(port, host, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

const drainMs = 30_000;

/** Until every request in flight has its answer, or the time is up, /health states that the server is going; then it closes. */
async function drain(server: Server, inFlight: () => number): Promise<void> {
  const deadline = performance.now() + drainMs;
  while (inFlight() > 0 && performance.now() < deadline) await setTimeout(20);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
