import { workerData } from 'node:worker_threads';
import { ensure } from '../../../training/core/errors.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Session } from '../../../training/run/session.ts';
import type { PictureModel, PictureSettings, PictureWork } from '../pictures.ts';
import type { ServedModule, ServedPictureTask } from '../task.ts';
import { answerLink } from './answer.ts';

// The thread that decodes, runs the model and encodes. The thread that serves HTTP only passes bytes.

interface Opened {
  readonly session: Session;
  readonly row: ServedPictureTask;
  readonly spec: unknown;
}

const { device, threads, tasks } = workerData as PictureSettings;
const { servedTasks } = (await import(tasks)) as ServedModule;

async function open({ task, key, model, spec }: PictureModel): Promise<Opened> {
  const row = servedTasks.find(({ contract }) => contract.name === task);
  ensure(
    row?.kind === 'picture',
    'internal',
    () => `${key}: expected a task of ${tasks} that takes pictures, got ${task}`,
  );
  const session = await openSession(model, { device, threads, spin: false });
  await tryOut(session, row, spec, key);
  return { session, row, spec };
}

/** Runs the model once, so that one that cannot do its task fails here and not at a request. */
async function tryOut(session: Session, row: ServedPictureTask, spec: unknown, key: string): Promise<void> {
  const { feeds, outputs } = row.trial(spec);
  const results = await session.run(feeds);
  for (const [name, dims] of Object.entries(outputs)) {
    const result = results[name];
    ensure(result?.dtype === 'float32' && String(result.dims) === String(dims), 'bad-model', () => {
      return `${key}: expected f32[${dims}] from ${name}, got ${result?.dtype}[${result?.dims}]`;
    });
    ensure(result.data.every(Number.isFinite), 'bad-model', () => {
      return `${key}: expected finite values from ${name}, got NaN or infinity`;
    });
  }
}

answerLink<PictureWork, Opened>({
  open,
  run: (job, { session, row, spec }, signal, emit) =>
    row.run(job, session, spec, { signal, onProgress: (done, total) => emit?.({ done, total }) }),
});
