import { randomInt, randomUUID } from 'node:crypto';
import { Router } from 'express';
import type { TextCall } from '../../serve/task.ts';
import type { TextPiece, TextResult } from '../../serve/texts.ts';
import type { Deps } from '../deps.ts';
import { answerErrors } from '../fault.ts';
import {
  type CompletionBody,
  type CompletionChoice,
  type CompletionRequest,
  checkCompletion,
  completionError,
  completionRequest,
  completionStatus,
} from '../openai.ts';
import { textRoutes } from './texts.ts';

/** `POST /v1/completions`: what OpenAI's clients call; the first task whose models write answers it. */
export function completionRoutes(deps: Deps): Router {
  const router = Router();
  const task = deps.tasks.find(({ kind }) => kind === 'text')?.contract.name;
  if (task === undefined) return router;
  const path = '/v1/completions';
  router.use(textRoutes(deps, { path, task, body: completionRequest, answer: complete, faultBody: completionError }));
  router.use(path, answerErrors(deps.log, completionError, completionStatus));
  return router;
}

async function complete(asked: CompletionRequest, call: TextCall): Promise<void> {
  checkCompletion(asked);
  const body = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: call.key,
    seed: asked.seed ?? randomInt(2 ** 32),
  } as const;
  if (asked.stream) return call.stream((send) => stream(asked, call, body, send));
  const results = await writeAll(asked, call, body);
  const whole: CompletionBody = { ...body, choices: choicesOf(asked, results), usage: usageOf(results) };
  call.response.json(whole);
}

type Head = Omit<CompletionBody, 'choices'>;

/** One job for every prompt; `onPiece` gets the index of the choice. */
function writeAll(
  asked: CompletionRequest,
  call: TextCall,
  { seed }: Head,
  onPiece?: (index: number, text: string, reason?: CompletionChoice['finish_reason']) => void,
): Promise<TextResult[]> {
  const { n = 1, max_tokens = 16, temperature = 1, top_p = 1, top_k = 0, min_p = 0, repetition_penalty = 1 } = asked;
  const options = {
    maxTokens: max_tokens,
    temperature,
    topK: top_k,
    minP: min_p,
    repetitionPenalty: repetition_penalty,
  };
  // When one of several prompts fails nobody gets the others.
  const failed = new AbortController();
  // OpenAI's 0 means the most likely word, which any small share leaves.
  const job = { seed, n, stop: asked.stop ?? [], topP: Math.max(top_p, Number.MIN_VALUE), ...options };
  const write = (prompt: string, i: number): Promise<TextResult> => {
    const onOwn = (piece: TextPiece): void => onPiece?.(n * i + piece.candidate, piece.text, piece.finishReason);
    return call.write({ ...job, prompt }, onPiece && onOwn, failed.signal);
  };
  return Promise.all(asked.prompt.map(write)).catch((error: unknown) => {
    failed.abort();
    throw error;
  });
}

async function stream(
  asked: CompletionRequest,
  call: TextCall,
  head: Head,
  send: (data: unknown) => void,
): Promise<void> {
  const withUsage = asked.stream_options?.include_usage === true;
  const piece = (index: number, text: string, reason: CompletionChoice['finish_reason'] = null): void => {
    const choices = [{ text, index, logprobs: null, finish_reason: reason }];
    send({ ...head, choices, ...(withUsage && { usage: null }) } satisfies CompletionBody);
  };
  if (asked.echo) for (let i = 0; i < asked.prompt.length * (asked.n ?? 1); i++) piece(i, promptOf(asked, i));
  const results = await writeAll(asked, call, head, piece);
  if (withUsage) send({ ...head, choices: [], usage: usageOf(results) } satisfies CompletionBody);
  send('[DONE]');
}

const promptOf = ({ prompt, n = 1 }: CompletionRequest, index: number): string => prompt[Math.floor(index / n)]!;

const choicesOf = (asked: CompletionRequest, results: readonly TextResult[]): CompletionChoice[] =>
  results
    .flatMap(({ candidates }) => candidates)
    .map(({ text, finishReason }, index) => ({
      text: asked.echo ? promptOf(asked, index) + text : text,
      index,
      logprobs: null,
      finish_reason: finishReason,
    }));

function usageOf(results: readonly TextResult[]) {
  const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
  const prompt_tokens = sum(results.map(({ promptTokens }) => promptTokens));
  const completion_tokens = sum(results.flatMap(({ candidates }) => candidates.map(({ tokens }) => tokens)));
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}
