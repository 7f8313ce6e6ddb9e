import { z } from 'zod';
import { mostSeed } from '../../training/core/rng.ts';
import { contract } from '../task.ts';

/** What may be asked of a text at most. */
export const textLimits = {
  promptLength: 8000,
  candidates: 16,
  tokens: 1000,
  stops: 8,
  stopLength: 100,
  bodyBytes: 64_000,
};

/** Text to go on with: something, of at most 8000 UTF-16 units, without control characters and halves of characters. */
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

/** Body of `POST /v1/generate`; without a seed one is drawn. */
export const generateRequest = z.strictObject({
  prompt: promptText,
  n: candidateCount.default(1),
  maxTokens: tokenCount.default(60),
  temperature: z.number().min(0).max(10).default(0.8),
  topK: z.int().min(0).max(1e6).default(0),
  topP: z.number().gt(0).max(1).default(0.95),
  minP: z.number().min(0).max(1).default(0),
  repetitionPenalty: z.number().min(0.1).max(10).default(1),
  seed: textSeed.exactOptional(),
  stop: stopTexts.default([]),
  /** Whether the answer comes piece by piece, as server-sent events. */
  stream: z.boolean().default(false),
});
export type GenerateRequest = z.input<typeof generateRequest>;

/** Answer of `POST /v1/generate`, and last event of its stream. */
export interface GenerateBody {
  /** NAME@VERSION. */
  readonly model: string;
  /** With this seed the same request has the same answer. */
  readonly seed: number;
  readonly candidates: readonly {
    /** What follows the prompt. */
    readonly text: string;
    readonly tokens: number;
    readonly finishReason: 'stop' | 'length';
  }[];
}

/** Event of the stream of `POST /v1/generate`: a piece of a text, and the tokens of that text so far. */
export interface GenerateEvent {
  readonly candidate: number;
  readonly text: string;
  readonly tokens: number;
  /** With the last piece of a text, which may be ''. */
  readonly finishReason?: 'stop' | 'length';
}

export const textContract = contract({
  name: 'text',
  inputs: [{ name: 'prompt', type: 'text' }],
  sections: {},
  route: '/v1/generate',
  query: generateRequest,
  page: { path: '/write', link: 'Write', words: { verb: 'Write', doing: 'Writing', did: 'Written' } },
});
