import { workerData } from 'node:worker_threads';
import { ensure } from '../../../training/core/errors.ts';
import { type GenerateOptions, TextEngine } from '../../../training/generate/engine.ts';
import { textModel, textModelParts } from '../../../training/generate/text-model.ts';
import { TextRows } from '../../../training/generate/text-rows.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Session } from '../../../training/run/session.ts';
import { tokenise } from '../../../training/text/tokenise.ts';
import { beginId } from '../../../training/text/vocab.ts';
import type { TextSettings, TextWork } from '../texts.ts';
import { answerLink } from './answer.ts';
import type { KeyedModel } from './protocol.ts';

// The thread that writes texts: all requests for a version in one batch.

interface Opened {
  readonly session: Session;
  readonly engine: TextEngine;
}

const { device, threads, rows } = workerData as TextSettings;

async function open({ key, model }: KeyedModel): Promise<Opened> {
  const parts = textModelParts(model);
  const session = await openSession(model, { device, threads, spin: false });
  const text = textModel(parts, session);
  // So that a model that cannot write fails here and not at a request.
  const trial = new TextRows(text);
  trial.add();
  await trial.read(Int32Array.of(beginId));
  ensure(trial.result(0).scores.every(Number.isFinite), 'bad-model', () => {
    return `${key}: expected finite scores, got NaN or infinity`;
  });
  return { session, engine: new TextEngine(text, { rows }) };
}

answerLink<TextWork, Opened>({
  open,
  run: async ({ key: _key, ...options }, { engine }, signal, emit) => {
    const onText: GenerateOptions['onText'] = (candidate, text, tokens, finishReason) =>
      emit?.({ candidate, text, tokens, ...(finishReason && { finishReason }) });
    const candidates = await engine.write({ ...options, signal, ...(emit && { onText }) });
    return { candidates, promptTokens: tokenise(options.prompt).length };
  },
});
