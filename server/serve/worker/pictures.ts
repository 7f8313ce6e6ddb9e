import { workerData } from 'node:worker_threads';
import { ensure } from '../../../training/core/errors.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Session } from '../../../training/run/session.ts';
import type { PictureModel, PictureSettings, PictureWork } from '../pictures.ts';
import type { PictureSpec, ServedModule, ServedPictureTask } from '../task.ts';
import { answerLink } from './answer.ts';

// The thread that decodes, runs the model and encodes. The thread that serves HTTP only passes bytes.

interface Opened {
  readonly session: Session;
  readonly row: ServedPictureTask;
  readonly spec: PictureSpec;
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

/** Runs the model once on grey pixels, so that one that cannot do its task fails here and not at a request. */
async function tryOut(session: Session, row: ServedPictureTask, spec: PictureSpec, key: string): Promise<void> {
  const { input, output } = row.trialDims(spec);
  const grey = { dtype: 'float32', dims: input, data: new Float32Array(sizeOf(input)).fill(0.5) } as const;
  const result = (await session.run({ [spec.inputName]: grey }))[spec.outputName];
  ensure(result?.dtype === 'float32' && String(result.dims) === String(output), 'bad-model', () => {
    return `${key}: expected f32[${output}] from ${spec.outputName}, got ${result?.dtype}[${result?.dims}]`;
  });
  ensure(result.data.every(Number.isFinite), 'bad-model', () => `${key}: expected finite values, got NaN or infinity`);
}

answerLink<PictureWork, Opened>({
  open,
  run: (job, { session, row, spec }, signal, emit) =>
    row.run(job, session, spec, { signal, onProgress: (done, total) => emit?.({ done, total }) }),
});
