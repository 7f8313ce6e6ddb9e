import type { GenerateBody, GenerateEvent } from '../../client/api.ts';
import type { TaskRun } from '../../client/local/engine.ts';
import type { TextJob } from '../../client/local/jobs.ts';
import { ensure } from '../../training/core/errors.ts';
import { TextEngine } from '../../training/generate/engine.ts';
import { Vocab } from '../../training/text/vocab.ts';

/** textHere: the prompt -> texts that go on where it ends, told piece by piece. The server writes with the same engine. */
export function textHere(run: TaskRun<TextJob, GenerateEvent>): Promise<GenerateBody['candidates']> {
  return run.onDevice(({ text, runAll }) => {
    ensure(text !== undefined, 'bad-model', () => 'textHere: expected a language model, got one without words');
    const { words, ...parts } = text;
    const engine = new TextEngine({ session: { run: runAll }, vocab: new Vocab(words), ...parts });
    run.tell({ phase: 'run' });
    return engine.write({
      ...run.job,
      onText: (candidate, piece, tokens) => run.tellPiece({ candidate, text: piece, tokens }),
    });
  });
}
