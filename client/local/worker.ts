import { createClient } from '../api.ts';
import { xhrSend } from '../xhr.ts';
import { Engine } from './engine.ts';
import type { FromWorker, PieceOf, TaskName, ToWorker } from './jobs.ts';

/** The thread on which the browser works: decoding, the model and encoding all run here, so the page stays responsive. */
const engine = new Engine(createClient({ baseUrl: location.origin, send: xhrSend }));

const tell = <T extends TaskName>(message: FromWorker<T>): void => postMessage(message);

async function work<T extends TaskName>({ task, job }: ToWorker<T>): Promise<void> {
  try {
    const done = await engine.run(task, job, {
      onProgress: (progress) => tell({ kind: 'progress', progress }),
      onPiece: (piece: PieceOf<T>) => tell<T>({ kind: 'piece', piece }),
    });
    tell({ kind: 'done', done });
  } catch (error) {
    const { message, code = 'internal' } = error as Error & { readonly code?: string };
    tell({ kind: 'failed', code, message });
  }
}

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => void work(data));
