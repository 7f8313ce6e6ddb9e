import { createClient } from '../api.ts';
import { Engine, type LocalJob } from './engine.ts';
import type { FromWorker } from './messages.ts';

/** The thread on which the browser restores: decoding, the model and encoding all run here, so the page stays responsive. */
const engine = new Engine(createClient({ baseUrl: location.origin }));

const tell = (message: FromWorker): void => postMessage(message);

addEventListener('message', async ({ data }: MessageEvent<LocalJob>) => {
  try {
    const restored = await engine.restore(data, (progress) => tell({ kind: 'progress', progress }));
    tell({ kind: 'done', restored });
  } catch (error) {
    const { message, code = 'internal' } = error as Error & { readonly code?: string };
    tell({ kind: 'failed', code, message });
  }
});
