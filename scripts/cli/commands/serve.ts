import type { Command } from 'commander';
import type { NodeDevice } from '../../../training/run/ort.node.ts';
import { announceDevice, note, report, withOptions } from '../cli.ts';
import { deviceOption, option, storeOption, whole } from '../options.ts';

interface Options {
  readonly port: number;
  readonly host: string;
  readonly store?: string;
  readonly device: NodeDevice | 'auto';
  readonly workers?: number;
}

/** `fettle serve`. */
export function register(program: Command): void {
  const command = program.command('serve').description('serve the pages and the HTTP interface');
  withOptions(
    command,
    option('--port <n>', '0 takes a free one', whole(0, 65_535), 8080).env('PORT'),
    option('--host <address>', 'who can reach it; 0.0.0.0 is everyone', undefined, '127.0.0.1').env('HOST'),
    storeOption(),
    deviceOption(),
    option('--workers <n>', 'pictures worked on at once', whole(1, 256)),
  ).action((options: Options) => serve(command, options));
}

async function serve(command: Command, { store, device, ...options }: Options): Promise<void> {
  const [{ startServer }, { pino }] = await Promise.all([import('../../../server/main.ts'), import('pino')]);
  const log = pino({ name: 'fettle' }, pino.destination(2));
  const server = await startServer({
    ...options,
    device: await announceDevice(device),
    log,
    ...(store === undefined ? {} : { storeDir: store }),
  });
  stopOnSignal(() => server.close());
  report(command, { url: server.url }, `fettle serves on ${server.url}`);
}

/** The first signal finishes what is in flight; a second one does not wait. */
function stopOnSignal(close: () => Promise<void>): void {
  let asked = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, async () => {
      if (asked) process.exit(1);
      asked = true;
      note(`${signal}: finishing what is in flight`);
      await close();
      process.exit(0);
    });
  }
}
