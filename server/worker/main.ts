import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ensure, FettleError } from '../../training/core/errors.ts';
import type { ImageModelSpec } from '../../training/core/model-config.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session } from '../../training/run/session.ts';
import { toPlain } from '../errors.ts';
import {
  type FromWorker,
  type RestoreJob,
  type ToWorker,
  transferable,
  type WorkerModel,
  type WorkerSettings,
} from './protocol.ts';
import { restoreFile } from './restore.ts';

// The thread that decodes, runs the model and encodes. The thread that serves HTTP only passes bytes.

const port = parentPort;
ensure(port !== null, 'internal', () => 'server/worker: expected to be started as a worker thread');
const settings = workerData as WorkerSettings;
lowerPriority(settings.niceness);

const models = new Map<string, { readonly session: Session; readonly spec: ImageModelSpec }>();
const running = new Map<number, AbortController>();

const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

port.on('message', (message: ToWorker) => {
  if (message.type === 'load') void answer(message.id, () => load(message));
  else if (message.type === 'unload') void unload(message.key);
  else if (message.type === 'restore') void answer(message.id, () => restore(message.id, message.job));
  else running.get(message.id)?.abort(new FettleError('internal', 'cancelled'));
});

async function answer(id: number, work: () => Promise<FromWorker & { readonly type: 'done' }>): Promise<void> {
  try {
    const done = await work();
    send(done, done.result === undefined ? [] : transferable(done.result.file));
  } catch (error) {
    send({ type: 'failed', id, error: toPlain(error) });
  }
}

async function load({
  id,
  key,
  model,
  spec,
}: WorkerModel & { readonly id: number }): Promise<FromWorker & { type: 'done' }> {
  if (models.has(key)) return { type: 'done', id }; // versions never change, and this one may be in use
  const { device, threads } = settings;
  const session = await openSession(model, { device, threads, spin: false });
  await tryOut(session, spec, key);
  models.set(key, { session, spec });
  return { type: 'done', id };
}

/** Runs the model once on grey pixels, so that one that cannot do its task fails here and not at a request. */
async function tryOut(session: Session, spec: ImageModelSpec, key: string): Promise<void> {
  const side = spec.multipleOf * Math.ceil(32 / spec.multipleOf);
  const dims = [1, 3, side, side];
  const data = new Float32Array(3 * side * side).fill(0.5);
  const results = await session.run({ [spec.inputName]: { dtype: 'float32', dims, data } });
  const output = results[spec.outputName];
  ensure(output?.dtype === 'float32' && String(output.dims) === String(dims), 'bad-model', () => {
    return `${key}: expected f32[${dims}] from ${spec.outputName}, got ${output?.dtype}[${output?.dims}]`;
  });
  ensure(output.data.every(Number.isFinite), 'bad-model', () => `${key}: expected finite values, got NaN or infinity`);
}

async function unload(key: string): Promise<void> {
  const model = models.get(key);
  models.delete(key);
  await model?.session.release();
}

async function restore(id: number, job: RestoreJob): Promise<FromWorker & { type: 'done' }> {
  const model = models.get(job.key);
  ensure(model !== undefined, 'internal', () => `server/worker: expected ${job.key} to be loaded`);
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const onProgress = (done: number, total: number): void => send({ type: 'progress', id, done, total });
    const result = await restoreFile(job, model.session, model.spec, { signal: controller.signal, onProgress });
    return { type: 'done', id, result };
  } finally {
    running.delete(id);
  }
}

/** On Linux priorities belong to threads, and the threads that ONNX Runtime starts inherit this one's. */
function lowerPriority(niceness: number): void {
  if (process.platform !== 'linux' || niceness === 0) return;
  try {
    setPriority(0, niceness);
  } catch {
    // Not allowed here: the answers come all the same, only less evenly.
  }
}
