import { parentPort } from 'node:worker_threads';
import type { ToWorker } from '../../server/worker/protocol.ts';

// The real worker, but one that dies when it is asked for quality 13 and throws out of turn at quality 14. It listens
// only once the real one does: the first listener starts the flow of messages.
await import('../../server/worker/main.ts');
parentPort?.on('message', (message: ToWorker) => {
  if (message.type !== 'run') return;
  if (message.job.query.quality === 13) process.exit(7);
  if (message.job.query.quality === 14) throw new Error('thrown on purpose');
});
