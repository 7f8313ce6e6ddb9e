import { parentPort, workerData } from 'node:worker_threads';
import { ensure } from '../../../training/core/errors.ts';
import { TextEngine } from '../../../training/generate/engine.ts';
import { textModelParts } from '../../../training/generate/text-model.ts';
import { TextRows } from '../../../training/generate/text-rows.ts';
import type { FinishReason } from '../../../training/generate/writer.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Session } from '../../../training/run/session.ts';
import { tokenise } from '../../../training/text/tokenise.ts';
import { beginId, Vocab } from '../../../training/text/vocab.ts';
import { toPlain } from '../../errors.ts';
import { lowerPriority } from '../worker/priority.ts';
import type { WorkerSettings } from '../worker/protocol.ts';
import type { FromWriter, TextJob, TextPiece, ToWriter } from './protocol.ts';

// The thread that writes texts: all requests for a version in one batch.

const port = parentPort;
ensure(port !== null, 'internal', () => 'server/serve/text/worker: expected to be started as a worker thread');
const settings = workerData as WorkerSettings & { readonly rows: number };
lowerPriority(settings.niceness);

type Done = FromWriter & { readonly type: 'done' };

interface Loaded {
  readonly session: Session;
  readonly engine: TextEngine;
}

const models = new Map<string, Promise<Loaded>>();
const running = new Map<number, AbortController>();
let pieces: (TextPiece & { readonly id: number })[] = [];

const send = (message: FromWriter): void => port.postMessage(message);
setInterval(() => send({ type: 'alive' }), 1000).unref();

port.on('message', (message: ToWriter) => {
  if (message.type === 'load') void answer(message.id, () => load(message.id, message.key, message.model));
  else if (message.type === 'unload') void unload(message.key);
  else if (message.type === 'write') void answer(message.id, () => write(message.id, message.job, message.pieces));
  else running.get(message.id)?.abort();
});

async function answer(id: number, work: () => Promise<Done>): Promise<void> {
  try {
    const done = await work();
    tellPieces(); // the last ones before the end
    send(done);
  } catch (error) {
    send({ type: 'failed', id, error: toPlain(error) });
  }
}

async function load(id: number, key: string, model: Uint8Array): Promise<Done> {
  // Versions never change, and this one may be in use.
  const opened = models.get(key) ?? open(model, key);
  models.set(key, opened);
  try {
    await opened;
  } catch (error) {
    models.delete(key);
    throw error;
  }
  return { type: 'done', id };
}

async function open(model: Uint8Array, key: string): Promise<Loaded> {
  const { words, states, weighs } = textModelParts(model);
  const { device, threads, rows } = settings;
  const session = await openSession(model, { device, threads, spin: false });
  const text = { session, vocab: new Vocab(words), states, weighs };
  // So that a model that cannot write fails here and not at a request.
  const trial = new TextRows(text);
  trial.add();
  await trial.read(Int32Array.of(beginId));
  ensure(trial.result(0).scores.every(Number.isFinite), 'bad-model', () => {
    return `${key}: expected finite scores, got NaN or infinity`;
  });
  return { session, engine: new TextEngine(text, { rows }) };
}

async function unload(key: string): Promise<void> {
  const model = models.get(key);
  models.delete(key);
  await (await model)?.session.release();
}

async function write(id: number, { key, ...options }: TextJob, tell: boolean): Promise<Done> {
  const controller = new AbortController();
  running.set(id, controller);
  const onText = (candidate: number, text: string, tokens: number, finishReason?: FinishReason): void => {
    if (pieces.length === 0) setImmediate(tellPieces);
    pieces.push({ id, candidate, text, tokens, ...(finishReason && { finishReason }) });
  };
  try {
    const model = await models.get(key);
    ensure(model !== undefined, 'internal', () => `server/serve/text/worker: expected ${key} to be loaded`);
    const { signal } = controller;
    const candidates = await model.engine.write({ ...options, signal, ...(tell && { onText }) });
    return { type: 'done', id, result: { candidates, promptTokens: tokenise(options.prompt).length } };
  } finally {
    running.delete(id);
  }
}

/** All pieces of one step in one message. */
function tellPieces(): void {
  if (pieces.length > 0) send({ type: 'pieces', pieces });
  pieces = [];
}
