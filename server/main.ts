import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
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

/** startServer: loads what should serve, then listens. Without a model it starts too, and is not ready. */
export async function startServer({
  port = 8080,
  host = '127.0.0.1',
  ...options
}: ServerOptions = {}): Promise<RunningServer> {
  const service = await createService(options);
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5000 },
    service.app,
  );
  await listen(server, port, host);
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
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
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
