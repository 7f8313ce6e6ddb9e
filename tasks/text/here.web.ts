import type { HereJob, HereTask } from '../../client/local/task.ts';
import { type TextModelParts, textModelParts } from '../../training/generate/text-model.ts';
import type { GenerateBody, GenerateEvent } from './contract.ts';
import { writeTexts } from './infer.ts';

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

/** The prompt -> texts that continue it, reported piece by piece. The command line writes in the same way; the server, with the same engine, all requests in one batch. */
export const hereTask: HereTask<TextJob, GenerateBody['candidates'], GenerateEvent, TextModelParts> = {
  partsOf: textModelParts,
  run: ({ job, onDevice, report, reportPiece }) =>
    onDevice(({ parts, runAll }) => {
      report({ phase: 'run' });
      const onText = (candidate: number, text: string, tokens: number): void =>
        reportPiece({ candidate, text, tokens });
      return writeTexts(parts, { run: runAll }, { ...job, onText });
    }),
};
