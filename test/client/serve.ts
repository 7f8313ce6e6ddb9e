/*
 * A server in a process of its own, so that tests can stop it, kill it, or let it hang. Arguments: the folder of the
 * store, the port (0 = a free one), the folder of the page (the built one by default). It tells its parent the URL.
 */
import { join } from 'node:path';
import { pino } from 'pino';
import { startServer } from '../../server/main.ts';

const [storeDir = '', port = '0', clientDir] = process.argv.slice(2);
const { url } = await startServer({
  port: Number(port),
  storeDir,
  zooDir: join(storeDir, 'no-zoo'),
  pollMs: 100,
  ...(clientDir === undefined ? {} : { clientDir }),
  log: pino({ level: 'silent' }),
});
process.send?.(url);
process.once('disconnect', () => process.exit());
