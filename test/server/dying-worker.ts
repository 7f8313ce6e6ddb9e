import { parentPort } from 'node:worker_threads';
import type { PictureWork } from '../../server/serve/pictures.ts';
import type { ToWorker } from '../../server/serve/worker/protocol.ts';

// The real worker, but one that dies when a job's query asks for 13 (or 0.13) of anything, and throws out of turn at 14; and when it is to load
// a model whose bytes begin with 13. It listens
// only once the real one does: the first listener starts the flow of messages.
await import('../../server/serve/worker/pictures.ts');
parentPort?.on('message', (message: ToWorker<PictureWork>) => {
  if (message.type === 'load' && message.model.model[0] === 13) process.exit(7);
  if (message.type !== 'run') return;
  const asked: readonly unknown[] = Object.values(message.job.query as object);
  if (asked.includes(13) || asked.includes(0.13)) process.exit(7);
  if (asked.includes(14) || asked.includes(0.14)) throw new Error('thrown on purpose');
});
