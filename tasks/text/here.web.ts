import type { HereJob, HereTask } from '../../client/local/task.ts';
import { TextEngine } from '../../training/generate/engine.ts';
import { type TextModelParts, textModelParts } from '../../training/generate/text-model.ts';
import { Vocab } from '../../training/text/vocab.ts';
import type { GenerateBody, GenerateEvent } from './contract.ts';

/** What the server would be asked for; nothing is left to its defaults, so that it is the same in both places. */
export interface TextJob extends HereJob {
  readonly prompt: string;
  readonly n: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  /** As the contract has it. */
  readonly device: 'wasm';
}

/** The prompt -> texts that continue it, reported piece by piece. The server writes with the same engine. */
export const hereTask: HereTask<TextJob, GenerateBody['candidates'], GenerateEvent, TextModelParts> = {
  partsOf: textModelParts,
  run: ({ job, onDevice, report, reportPiece }) =>
    onDevice(({ parts: { words, ...parts }, runAll }) => {
      const engine = new TextEngine({ session: { run: runAll }, vocab: new Vocab(words), ...parts });
      report({ phase: 'run' });
      const onText = (candidate: number, text: string, tokens: number): void =>
        reportPiece({ candidate, text, tokens });
      return engine.write({ ...job, onText });
    }),
};
