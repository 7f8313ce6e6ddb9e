import { parentPort } from 'node:worker_threads';
import type { ToWorker, Work } from '../../server/serve/worker/protocol.ts';

// A thread that answers `echo`, keeps `wait` for ever while it is alive, answers `slow` after 2 s, and hangs at `spin`.
const send = (message: object): void => parentPort?.postMessage(message);
parentPort?.on('message', (message: ToWorker<Work>) => {
  if (message.type !== 'run') return;
  const { id, job } = message;
  const done = (): void => send({ type: 'done', id, result: { key: job.key } });
  if (job.key === 'echo') done();
  if (job.key === 'slow') setTimeout(done, 2000);
  while (job.key === 'spin');
});
setInterval(() => send({ type: 'alive' }), 100);
