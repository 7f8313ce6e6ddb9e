import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import type { Device } from '../training/run/session.ts';
import { createApp } from './http/app.ts';
import { pictureHolders, StoreHost } from './serve/host.ts';
import { createPool } from './serve/pool.ts';
import { TextWriter, textHolders } from './serve/text/writer.ts';
import { clientDir, storeDirOf, zooDir } from './store/paths.ts';
import { openStore } from './store/store.ts';

export interface ServerOptions {
  /** 8080 when not given; 0 takes a free one. */
  readonly port?: number;
  /** 127.0.0.1 when not given: nobody else can reach it. */
  readonly host?: string;
  readonly storeDir?: string;
  readonly zooDir?: string;
  readonly clientDir?: string;
  readonly device?: Device;
  readonly workers?: number;
  /** Requests in the house at once; 16 more than workers when not given. */
  readonly capacity?: number;
  readonly log?: Logger;
  /** How often the store is looked at for a changed active version. */
  readonly pollMs?: number;
  /** The worker's script; another one only in tests. */
  readonly workerScript?: URL;
  /** Steps by which the thread that writes texts yields to the one that serves HTTP, 0..19; 10 when not given. */
  readonly niceness?: number;
}

export interface RunningServer {
  readonly url: string;
  /** Requests that are uploading, waiting or running. */
  inFlight(): number;
  /** Stops taking requests, finishes those in flight (30 s at most), ends the workers. */
  close(): Promise<void>;
}

/** startServer: loads what should serve, then listens. Without a model it starts too, and is not ready. */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const log = options.log ?? pino({ name: 'fettle' });
  const store = openStore({ zooDir: options.zooDir ?? zooDir, storeDir: storeDirOf(options.storeDir) });
  const pool = createPool({ ...options, log });
  const texts = new TextWriter({ ...options, log });
  const host = new StoreHost(store, { ...pictureHolders(pool), ...textHolders(texts) }, log, options.pollMs);
  await host.sync();
  const inFlight = (): number => pool.admitted + texts.admitted;
  let draining = false;
  const app = createApp({
    store,
    host,
    pool,
    texts,
    log,
    clientDir: options.clientDir ?? clientDir,
    isDraining: () => draining,
  });
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5000 },
    app,
  );
  await listen(server, options.port ?? 8080, options.host ?? '127.0.0.1');
  return {
    url: urlOf(server),
    inFlight,
    close: async () => {
      draining = true;
      await drain(server, inFlight);
      host.close();
      await Promise.all([pool.close(), texts.close()]);
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

/** Until every request in flight has its answer, or the time is up, /health says that the server is going; then it closes. */
async function drain(server: Server, inFlight: () => number): Promise<void> {
  const deadline = performance.now() + drainMs;
  while (inFlight() > 0 && performance.now() < deadline) await setTimeout(20);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
