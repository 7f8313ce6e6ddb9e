/*
 * fettle inside an Express app that has routes and an error handler of its own.
 *
 *   PORT=3000 node dist/examples/express.js      then http://127.0.0.1:3000/photos/
 *
 * In a project of your own, import from 'fettle/server'.
 */
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler } from 'express';
import { createService } from '../server/index.ts';

const app = express();
app.get('/hello', (_request, response) => void response.send('hello'));

// Pages at /photos/, routes at /photos/v1/…; `device`, `workers` and `storeDir` are as in `fettle serve`.
const service = await createService({ workers: 1 });
app.use('/photos', service.app);

app.get('/broken', () => {
  throw new Error('broken on purpose');
});
const onError: ErrorRequestHandler = (error, _request, response, _next) =>
  void response.status(500).send(`own error handler: ${(error as Error).message}`);
app.use(onError);

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/photos/\n`);
});

process.once('SIGTERM', () => {
  service.drain();
  server.close(() => void service.close());
});
