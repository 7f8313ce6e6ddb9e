import { type Candidate, type GenerateOptions, TextEngine } from './engine.ts';
import type { OpenTextModel } from './text-rows.ts';

/** generateText: texts that continue where the prompt ends, `n` of them in one batch, the states kept from token to token. */
export async function generateText(
  model: OpenTextModel,
  { pause, ...options }: GenerateOptions & { readonly pause?: () => Promise<void> } = {},
): Promise<readonly Candidate[]> {
  return new TextEngine(model, { rows: options.n ?? 1, ...(pause && { pause }) }).write(options);
}
