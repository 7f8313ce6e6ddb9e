import { parentPort } from 'node:worker_threads';
import type { TextWork } from '../../server/serve/texts.ts';
import type { ToWorker } from '../../server/serve/worker/protocol.ts';

// The real thread that writes, but one that dies at a prompt. It listens only once the real one does: the first listener starts the flow of messages.
await import('../../server/serve/worker/texts.ts');
parentPort?.on('message', (message: ToWorker<TextWork>) => {
  if (message.type === 'run' && message.job.prompt === 'die') process.exit(3);
});
