import { type BeamOptions, beamSearch } from '../../training/generate/beam.ts';
import type { Candidate, GenerateOptions } from '../../training/generate/engine.ts';
import { generateText } from '../../training/generate/generate.ts';
import { type TextModelParts, textModel } from '../../training/generate/text-model.ts';
import type { OpenTextModel } from '../../training/generate/text-rows.ts';

type TextSession = OpenTextModel['session'];

/** writeTexts: an open model and a prompt -> texts that continue it, drawn by chance and a seed. */
export const writeTexts = (
  parts: TextModelParts,
  session: TextSession,
  options: GenerateOptions,
): Promise<readonly Candidate[]> => generateText(textModel(parts, session), options);

/** searchTexts: an open model and a prompt -> the most likely texts that a beam finds, the likeliest first. */
export const searchTexts = (parts: TextModelParts, session: TextSession, options: BeamOptions) =>
  beamSearch(textModel(parts, session), options);
