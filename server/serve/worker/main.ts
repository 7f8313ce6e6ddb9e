import { parentPort, workerData } from 'node:worker_threads';
import { pictureTasks } from '../../../tasks/served.ts';
import { ensure, FettleError } from '../../../training/core/errors.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Session } from '../../../training/run/session.ts';
import { toPlain } from '../../errors.ts';
import type { JobOf, PictureTask, SpecOf, TaskRow } from '../task.ts';
import { lowerPriority } from './priority.ts';
import { type FromWorker, type ToWorker, transferable, type WorkerModelOf, type WorkerSettings } from './protocol.ts';

// The thread that decodes, runs the model and encodes. The thread that serves HTTP only passes bytes.

const port = parentPort;
ensure(port !== null, 'internal', () => 'server/worker: expected to be started as a worker thread');
const settings = workerData as WorkerSettings;
lowerPriority(settings.niceness);

interface Loaded<T extends PictureTask> {
  readonly task: T;
  readonly session: Session;
  readonly spec: SpecOf<T>;
}

type Done = FromWorker & { readonly type: 'done' };

const models = new Map<string, Loaded<PictureTask>>();
const running = new Map<number, AbortController>();

const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

port.on('message', (message: ToWorker) => {
  if (message.type === 'load') void answer(message.id, () => load(message.id, message.model));
  else if (message.type === 'unload') void unload(message.key);
  else if (message.type === 'run') void answer(message.id, () => run(message.id, message.job));
  else running.get(message.id)?.abort(new FettleError('internal', 'cancelled'));
});

async function answer(id: number, work: () => Promise<Done>): Promise<void> {
  try {
    const done = await work();
    send(done, done.result !== undefined && 'file' in done.result ? transferable(done.result.file) : []);
  } catch (error) {
    send({ type: 'failed', id, error: toPlain(error) });
  }
}

async function load<T extends PictureTask>(id: number, { task, key, model, spec }: WorkerModelOf<T>): Promise<Done> {
  if (models.has(key)) return { type: 'done', id }; // versions never change, and this one may be in use
  const { device, threads } = settings;
  const session = await openSession(model, { device, threads, spin: false });
  await tryOut(session, pictureTasks[task], spec, key);
  models.set(key, { task, session, spec });
  return { type: 'done', id };
}

/** Runs the model once on grey pixels, so that one that cannot do its task fails here and not at a request. */
async function tryOut<T extends PictureTask>(
  session: Session,
  row: TaskRow<T>,
  spec: SpecOf<T>,
  key: string,
): Promise<void> {
  const { input, output } = row.trialDims(spec);
  const grey = { dtype: 'float32', dims: input, data: new Float32Array(sizeOf(input)).fill(0.5) } as const;
  const result = (await session.run({ [spec.inputName]: grey }))[spec.outputName];
  ensure(result?.dtype === 'float32' && String(result.dims) === String(output), 'bad-model', () => {
    return `${key}: expected f32[${output}] from ${spec.outputName}, got ${result?.dtype}[${result?.dims}]`;
  });
  ensure(result.data.every(Number.isFinite), 'bad-model', () => `${key}: expected finite values, got NaN or infinity`);
}

async function unload(key: string): Promise<void> {
  const model = models.get(key);
  models.delete(key);
  await model?.session.release();
}

async function run<T extends PictureTask>(id: number, job: JobOf<T>): Promise<Done> {
  const model = models.get(job.key);
  ensure(model?.task === job.task, 'internal', () => {
    return `server/worker: expected ${job.key} to be loaded for ${job.task}, got ${model?.task ?? 'nothing'}`;
  });
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const onProgress = (done: number, total: number): void => send({ type: 'progress', id, done, total });
    const row: TaskRow<T> = pictureTasks[job.task];
    const hooks = { signal: controller.signal, onProgress };
    return { type: 'done', id, result: await row.run(job, model.session, model.spec as SpecOf<T>, hooks) };
  } finally {
    running.delete(id);
  }
}
