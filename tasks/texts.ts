import { z } from 'zod';
import { mostSeed } from '../training/core/rng.ts';

/* Parts of the contracts of tasks that write texts. */

/** What may be asked of a text at most. */
export const textLimits = {
  promptLength: 8000,
  candidates: 16,
  tokens: 1000,
  stops: 8,
  stopLength: 100,
  bodyBytes: 64_000,
};

/** Text to continue with: something, of at most 8000 UTF-16 units, without control characters and halves of characters. */
export const promptText = z
  .string()
  .refine((text) => text.trim() !== '', 'expected some text, got none')
  .refine((text) => text.length <= textLimits.promptLength, 'expected at most 8000 characters, got more')
  .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text.replace(/[\t\n\r]/g, '')), 'expected text, got control characters');

const stopText = z.string().min(1).max(textLimits.stopLength);
/** Strings before which a text ends: one, or a list; '' and null are none, as OpenAI's clients send them. */
export const stopTexts = z.union(
  [
    z.literal('').transform((): string[] => []),
    z.null().transform((): string[] => []),
    stopText.transform((text) => [text]),
    z.array(stopText).max(textLimits.stops),
  ],
  `expected a text or up to ${textLimits.stops} texts, each of 1..${textLimits.stopLength} characters`,
);

export const textSeed = z.int().min(0).max(mostSeed);
export const candidateCount = z.int().min(1).max(textLimits.candidates);
export const tokenCount = z.int().min(1).max(textLimits.tokens);
