import { z } from 'zod';
import { contract } from '../task.ts';
import { candidateCount, promptText, stopTexts, textSeed, tokenCount } from '../texts.ts';

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
  page: {
    path: '/write',
    link: 'Write',
    words: { verb: 'Write', doing: 'Writing', did: 'Written', what: 'the posts' },
    // The backends on GPUs have no kernels for nets with a memory.
    devices: ['wasm'],
  },
});
