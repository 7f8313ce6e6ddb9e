import { parentPort } from 'node:worker_threads';
import type { ToWriter } from '../../server/serve/text/protocol.ts';

// The real thread that writes, but one that dies at a prompt. It listens only once the real one does: the first listener starts the flow of messages.
await import('../../server/serve/text/worker.ts');
parentPort?.on('message', (message: ToWriter) => {
  if (message.type === 'write' && message.job.prompt === 'die') process.exit(3);
});
