import { z } from 'zod';
import { candidateCount, promptText, stopTexts, textLimits, textSeed, tokenCount } from '../../tasks/texts.ts';
import { explainError } from '../../training/core/explain.ts';
import { type Fault, RequestError } from '../errors.ts';

// OpenAI's shape of `POST /v1/completions`. Source: OpenAI's API reference, Completions.

/** OpenAI's clients send null for what they leave open. */
const orNull = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

/** A field that may be there only with the value that asks for nothing. */
const neutral = (isNeutral: (value: unknown) => boolean) =>
  z
    .unknown()
    .optional()
    .refine((value) => value === undefined || value === null || isNeutral(value), 'is not supported; omit it');

const zero = neutral((value) => value === 0);
const isEmpty = (value: unknown): boolean => typeof value === 'object' && Object.keys(value as object).length === 0;

const prompts = z.union([
  promptText.transform((prompt) => [prompt]),
  z.array(promptText).min(1).max(textLimits.candidates),
]);

export const completionRequest = z.strictObject({
  prompt: z
    .union([z.string(), z.array(z.unknown())], 'expected a text, or a list of texts')
    .transform((value, context) => parsePrompts(value, context)),
  n: orNull(candidateCount),
  max_tokens: orNull(tokenCount),
  temperature: orNull(z.number().min(0).max(2)),
  top_p: orNull(z.number().min(0).max(1)),
  seed: orNull(textSeed),
  stop: orNull(stopTexts),
  stream: orNull(z.boolean()),
  stream_options: orNull(z.object({ include_usage: orNull(z.boolean()) })),
  echo: orNull(z.boolean()),
  best_of: z.unknown().optional(),
  logprobs: neutral(() => false),
  presence_penalty: zero,
  frequency_penalty: zero,
  logit_bias: neutral(isEmpty),
  suffix: neutral((value) => value === ''),
  // Not OpenAI's, but other servers' with this route.
  top_k: orNull(z.int().min(0).max(1e6)),
  min_p: orNull(z.number().min(0).max(1)),
  repetition_penalty: orNull(z.number().min(0.1).max(10)),
  // They say nothing about the text: nothing is lost when nobody looks at them.
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
});
export type CompletionRequest = z.output<typeof completionRequest>;

/** With the reason of the kind that was sent: the reasons of a union say nothing. */
function parsePrompts(value: unknown, context: z.RefinementCtx): readonly string[] {
  const isTokens = Array.isArray(value) && value.some((one) => typeof one !== 'string');
  const parsed = (Array.isArray(value) ? prompts.options[1] : prompts.options[0]).safeParse(value);
  if (parsed.success) return parsed.data;
  const message = isTokens ? 'expected text, got tokens; send a string or strings' : explainError(parsed.error, value);
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

const fieldError = (field: string, message: string): RequestError =>
  new RequestError('bad-request', message, { field });

/** What fields say only together. */
export function checkCompletion({ prompt, n = 1, best_of }: CompletionRequest): void {
  if (prompt.length * n > textLimits.candidates)
    throw fieldError('n', `expected at most ${textLimits.candidates} texts in all, got ${prompt.length * n}`);
  if (best_of !== undefined && best_of !== null && best_of !== n)
    throw fieldError('best_of', 'is not supported; omit it, or give it the value of n');
}

export interface CompletionChoice {
  readonly text: string;
  readonly index: number;
  readonly logprobs: null;
  readonly finish_reason: 'stop' | 'length' | null;
}

export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** The answer, or one event of it. */
export interface CompletionBody {
  readonly id: string;
  readonly object: 'text_completion';
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** Ours: with it the same request has the same answer. */
  readonly seed: number;
  readonly choices: readonly CompletionChoice[];
  readonly usage?: CompletionUsage | null;
}

/** Where OpenAI has a code of its own: its status and code. */
const openAiCodes: Partial<Record<Fault['code'], readonly [number, string]>> = {
  'model-not-found': [404, 'model_not_found'],
  'model-not-active': [404, 'model_not_found'],
};

export const completionStatus = ({ code, status }: Fault): number => openAiCodes[code]?.[0] ?? status;

/** OpenAI's shape of an error. */
export const completionError = ({ code, status, message, field }: Fault) => ({
  error: {
    message,
    type: status >= 500 ? 'server_error' : 'invalid_request_error',
    param: field ?? null,
    code: openAiCodes[code]?.[1] ?? code,
  },
});
