import { randomUUID } from 'node:crypto';
import { type ErrorRequestHandler, type Request, type Response, Router } from 'express';
import { asRequestError, RequestError } from '../../errors.ts';
import type { TextPiece, TextResult } from '../../serve/text/protocol.ts';
import type { Deps } from '../deps.ts';
import {
  type CompletionBody,
  type CompletionChoice,
  type CompletionRequest,
  checkCompletion,
  completionError,
  completionRequest,
} from '../openai.ts';
import { untilClosed } from './pictures.ts';
import { admitText, beginEvents, drawSeed, holdPlace, jsonBody, loadedKey, parseBody, sendEvent } from './texts.ts';

/** `POST /v1/completions`: what OpenAI's clients call. */
export function completionRoutes(deps: Deps): Router {
  const router = Router();
  router.post('/v1/completions', admitText(deps), jsonBody, (request, response) =>
    holdPlace(response, () => complete(deps, request, response)),
  );
  router.use('/v1/completions', answerError(deps));
  return router;
}

async function complete(deps: Deps, request: Request, response: Response): Promise<void> {
  const asked = parseBody(completionRequest, request);
  checkCompletion(asked);
  const key = loadedKey(deps);
  checkModel(asked.model, key);
  const seed = asked.seed ?? drawSeed();
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
  } as const;
  const body = { ...head, model: key, seed };
  response.set({ 'X-Model': key, 'Cache-Control': 'no-store' });
  if (asked.stream) return stream(deps, asked, body, response);
  const results = await writeAll(deps, asked, body, response);
  response.json({ ...body, choices: choicesOf(asked, results), usage: usageOf(results) } satisfies CompletionBody);
}

type Head = Omit<CompletionBody, 'choices'>;

/** One job for every prompt; `onPiece` gets the index of the choice. */
function writeAll(
  { texts }: Deps,
  asked: CompletionRequest,
  { model: key, seed }: Head,
  response: Response,
  onPiece?: (index: number, text: string, reason?: CompletionChoice['finish_reason']) => void,
): Promise<TextResult[]> {
  const { n = 1, max_tokens = 16, temperature = 1, top_p = 1, top_k = 0, min_p = 0, repetition_penalty = 1 } = asked;
  const stop = asked.stop ?? [];
  const options = {
    maxTokens: max_tokens,
    temperature,
    topK: top_k,
    minP: min_p,
    repetitionPenalty: repetition_penalty,
  };
  // When one of several prompts fails nobody gets the others.
  const failed = new AbortController();
  const signal = AbortSignal.any([untilClosed(response), failed.signal]);
  // OpenAI's 0 means the likeliest word, which any small share leaves.
  const job = { key, seed, n, stop, topP: Math.max(top_p, Number.MIN_VALUE), ...options };
  const write = (prompt: string, i: number): Promise<TextResult> => {
    const tell = onPiece && {
      onPiece: (piece: TextPiece) => onPiece(n * i + piece.candidate, piece.text, piece.finishReason),
    };
    return texts.write({ ...job, prompt }, { signal, ...tell });
  };
  return Promise.all(asked.prompt.map(write)).catch((error: unknown) => {
    failed.abort();
    throw error;
  });
}

async function stream(deps: Deps, asked: CompletionRequest, head: Head, response: Response): Promise<void> {
  const withUsage = asked.stream_options?.include_usage === true;
  const send = (choices: readonly CompletionChoice[]): void =>
    sendEvent(response, { ...head, choices, ...(withUsage && { usage: null }) } satisfies CompletionBody);
  const piece = (index: number, text: string, reason: CompletionChoice['finish_reason'] = null): void =>
    send([{ text, index, logprobs: null, finish_reason: reason }]);
  beginEvents(response);
  try {
    if (asked.echo) for (let i = 0; i < asked.prompt.length * (asked.n ?? 1); i++) piece(i, promptOf(asked, i));
    const results = await writeAll(deps, asked, head, response, piece);
    if (withUsage) sendEvent(response, { ...head, choices: [], usage: usageOf(results) } satisfies CompletionBody);
    sendEvent(response, '[DONE]');
  } catch (error) {
    // The status is out already.
    const fault = asRequestError(error);
    if (fault.status >= 500) deps.log.error({ err: error }, 'request failed');
    sendEvent(response, completionError(fault));
  }
  response.end();
}

/** NAME, or NAME@VERSION of the one that serves. */
function checkModel(asked: string | undefined, key: string): void {
  if (asked === undefined || asked === key || asked === key.split('@')[0]) return;
  throw new RequestError(404, 'model_not_found', `model: expected ${key.split('@')[0]} or ${key}, got ${asked}`);
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

function answerError({ log }: Deps): ErrorRequestHandler {
  return (error: unknown, request: Request, response: Response, _next) => {
    const fault = asRequestError(error);
    if (fault.status >= 500 && !(error instanceof RequestError))
      log.error({ err: error, requestId: request.id }, 'request failed');
    if (response.headersSent || response.destroyed) return void response.destroy();
    if (fault.retryAfterSeconds !== undefined) response.set('Retry-After', String(fault.retryAfterSeconds));
    response.status(fault.status).json(completionError(fault));
  };
}
