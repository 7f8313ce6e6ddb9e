import { parentPort } from 'node:worker_threads';
import type { TextWork } from '../../server/serve/texts.ts';
import type { ToWorker } from '../../server/serve/worker/protocol.ts';

// The real thread that writes, but one that dies at a prompt, and at a model whose bytes begin with 13. It listens only once the real one does: the first listener starts the flow of messages.
await import('../../server/serve/worker/texts.ts');
parentPort?.on('message', (message: ToWorker<TextWork>) => {
  if (message.type === 'load' && message.model.model[0] === 13) process.exit(3);
  if (message.type === 'run' && message.job.prompt === 'die') process.exit(3);
});
