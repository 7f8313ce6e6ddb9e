import { hereTasks } from 'virtual:here-tasks';
import { createClient } from '../api.ts';
import { xhrSend } from '../xhr.ts';
import { Engine } from './engine.ts';
import type { FromWorker, ToWorker } from './jobs.ts';

/** The folder of the pages: this script is one of their assets. */
const baseUrl = new URL('..', location.href).href;

/** The thread on which the browser works: decoding, the model and encoding all run here, so the page stays responsive. */
const engine = new Engine(createClient({ baseUrl, send: xhrSend }), hereTasks);

const report = (message: FromWorker): void => postMessage(message);

async function work(message: ToWorker): Promise<void> {
  try {
    const done = await engine.run(message, {
      onProgress: (progress) => report({ kind: 'progress', progress }),
      onPiece: (piece) => report({ kind: 'piece', piece }),
    });
    report({ kind: 'done', done });
  } catch (error) {
    const { message: text, code = 'internal' } = error as Error & { readonly code?: string };
    report({ kind: 'failed', code, message: text });
  }
}

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => void work(data));
