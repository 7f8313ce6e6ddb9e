import type { ErrorBody, ModelInfo, ModelsBody } from '../server/contract.ts';
import type { ClassifyBody } from '../tasks/classify/contract.ts';
import type { OutputFormat } from '../tasks/pictures.ts';
import type { SegmentBody } from '../tasks/segment/contract.ts';
import type { GenerateBody, GenerateEvent, GenerateRequest } from '../tasks/text/contract.ts';
import { ensure, FettleError } from '../training/core/errors.ts';
import { knownKeys, namesOf } from '../training/core/known-keys.ts';
import type { Scale } from '../training/pictures/transforms/pixels.ts';
import { eventsOf } from './events.ts';
import { fetchSend, openAnswer, type Reply, type Send, Unreachable } from './transport.ts';

export type { ModelInfo } from '../server/contract.ts';
export type { ClassifyBody } from '../tasks/classify/contract.ts';
export type { OutputFormat } from '../tasks/pictures.ts';
export type { SegmentBody, SegmentShare } from '../tasks/segment/contract.ts';
export type { GenerateBody, GenerateEvent } from '../tasks/text/contract.ts';
export type { Scale } from '../training/pictures/transforms/pixels.ts';

/** How far a piece of work is. `fraction` 0..1 where it is known. */
export interface Progress {
  readonly phase: 'upload' | 'model' | 'run' | 'download' | 'encode';
  readonly fraction?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** NAME or NAME@VERSION of the model that answers; by default the task's own. */
  readonly model?: string;
  readonly onProgress?: (progress: Progress) => void;
}

export interface RestoreOptions extends CallOptions {
  /** How many times larger the picture comes back; 1 by default. */
  readonly scale?: Scale;
  /** The format of the result; that of the input by default, else PNG. */
  readonly format?: OutputFormat;
  /** 1..100, for JPEG and WebP; 90 by default. */
  readonly quality?: number;
  /** Whether EXIF data stays: without the place (`keep`), with it (`all`) or not at all. `keep` by default. */
  readonly metadata?: 'keep' | 'strip' | 'all';
}

export interface SegmentImageOptions extends CallOptions {
  /** 0..1: how much of the classes' colours there is in an overlay; the server's choice by default. */
  readonly opacity?: number;
}

export interface ClassifyOptions extends CallOptions {
  /** How many labels, at most; 5 by default. */
  readonly top?: number;
}

/** What is to be written: see `POST /v1/generate` in docs/reference/http.md; only `prompt` has to be there. */
export type GenerateOptions = Omit<GenerateRequest, 'prompt' | 'stream'>;

export interface GenerateCallOptions extends GenerateOptions, Pick<CallOptions, 'signal' | 'model'> {
  /** Called with every piece of a text as it comes. */
  readonly onPiece?: (piece: GenerateEvent) => void;
}

/** What the server states of any answer of a model. */
export interface AnswerFacts {
  /** NAME@VERSION. */
  readonly model: string;
  readonly requestId: string;
  /** Frames of an animation, of which the first is taken; 1 for pictures that stand still. */
  readonly frames: number;
}

export interface ImageAnswer extends AnswerFacts {
  readonly image: Blob;
}

export interface BodyAnswer<T> extends AnswerFacts {
  readonly body: T;
}

export type Health = 'ready' | 'not-ready' | 'away';

export interface Client {
  /** Sends a picture file; it comes back restored, in the same format where we write it, upright, in sRGB. */
  restore(file: Blob, options?: RestoreOptions): Promise<ImageAnswer>;
  /** Sends a picture file; back come the classes of its pixels, with their shares and where they are. */
  segment(file: Blob, options?: CallOptions): Promise<BodyAnswer<SegmentBody>>;
  /** The same as a picture: `mask`, a palette PNG of class ids, or `overlay`, the classes' colours over the picture. */
  segmentImage(file: Blob, output: 'mask' | 'overlay', options?: SegmentImageOptions): Promise<ImageAnswer>;
  /** Sends a picture file; back come the most likely labels, most likely first. */
  classify(file: Blob, options?: ClassifyOptions): Promise<BodyAnswer<ClassifyBody>>;
  /** Sends a picture file to the route of any task, such as `/v1/restore`; its answer is not interpreted. */
  post(route: string, file: Blob, query?: Query, options?: CallOptions): Promise<BodyAnswer<Blob>>;
  /** Has texts written that continue the prompt. An abort ends the work on the server too. */
  generate(prompt: string, options?: GenerateCallOptions): Promise<BodyAnswer<GenerateBody>>;
  models(options?: { readonly signal?: AbortSignal }): Promise<readonly ModelInfo[]>;
  /** The bytes of a file of a model's version: `model.onnx` … */
  modelFile(model: ModelInfo, file: string, options?: CallOptions): Promise<Blob>;
  health(options?: { readonly signal?: AbortSignal }): Promise<Health>;
}

/** What the server answered when it did not do what was asked. */
export class ApiError extends Error {
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** The server's code, such as `unsupported-type`; `unreachable` when no answer came. */
  readonly code: string;
  readonly requestId: string;
  constructor(status: number, code: string, message: string, requestId = '') {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
  /** True where another place may well do it: nobody answered, or nobody has the time to. */
  get isAway(): boolean {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

export interface ClientOptions {
  /** Origin (and path) of the server, such as `https://fettle.example`; the page's own by default. */
  readonly baseUrl?: string;
  /** How requests are sent; fetch by default. `xhrSend` reports upload progress, which fetch cannot. */
  readonly send?: Send;
}

const clientNames = namesOf<ClientOptions>({ baseUrl: true, send: true });
const callTable = { signal: true, model: true, onProgress: true } as const;
const callNames = namesOf<CallOptions>(callTable);
const restoreNames = namesOf<RestoreOptions>({
  ...callTable,
  scale: true,
  format: true,
  quality: true,
  metadata: true,
});
const overlayNames = namesOf<SegmentImageOptions>({ ...callTable, opacity: true });
const classifyNames = namesOf<ClassifyOptions>({ ...callTable, top: true });

/**
 * createClient: the server's HTTP interface with types. Throws {@link ApiError} for whatever is not a success, and `bad-argument` for an
 * unknown option, and outside of a page for a missing `baseUrl`.
 */
export function createClient(options: ClientOptions = {}): Client {
  knownKeys('createClient', options, clientNames);
  const { baseUrl = '', send = fetchSend } = options;
  ensure(baseUrl !== '' || options.send !== undefined || 'location' in globalThis, 'bad-argument', () => {
    return `createClient: expected baseUrl, the address of the server, got none outside of a page; e.g. createClient({ baseUrl: 'http://localhost:8080' })`;
  });
  const readable =
    baseUrl === '' || options.send !== undefined || 'location' in globalThis || /^https?:\/\/[^/]/.test(baseUrl);
  ensure(readable, 'bad-argument', () => {
    return `createClient: expected baseUrl to begin with http:// or https:// outside of a page, got ${baseUrl}; e.g. http://localhost:8080`;
  });
  const url = (path: string): string => baseUrl.replace(/\/$/, '') + path;
  const get = (path: string, signal?: AbortSignal, onProgress?: CallOptions['onProgress']): Promise<Reply> =>
    ask(send, { method: 'GET', url: url(path), ...(signal && { signal }), ...(onProgress && { onProgress }) });
  const post = (path: string, query: Query, file: Blob, options: CallOptions): Promise<Reply> =>
    upload(send, url(path) + queryOf({ ...query, model: options.model }), file, options);
  return {
    restore: async (file, options = {}) => {
      knownKeys('restore', options, restoreNames);
      const { scale = 1, format, quality, metadata } = options;
      return imageOf(await post('/v1/restore', { scale, format, quality, metadata }, file, options));
    },
    segment: async (file, options = {}) => {
      knownKeys('segment', options, callNames);
      return bodyOf(await post('/v1/segment', { output: 'json' }, file, options));
    },
    segmentImage: async (file, output, options = {}) => {
      knownKeys('segmentImage', options, overlayNames);
      return imageOf(await post('/v1/segment', { output, opacity: options.opacity }, file, options));
    },
    classify: async (file, options = {}) => {
      knownKeys('classify', options, classifyNames);
      return bodyOf(await post('/v1/classify', { top: options.top }, file, options));
    },
    post: async (route, file, query = {}, options = {}) => {
      knownKeys('post', options, callNames);
      const reply = await post(route, query, file, options);
      return { body: reply.body, ...factsOf(reply) };
    },
    generate: (prompt, { model, ...options } = {}) =>
      generate(url('/v1/generate') + queryOf({ model }), prompt, options),
    models: async ({ signal } = {}) => {
      const reply = await get('/v1/models', signal);
      return (JSON.parse(await reply.body.text()) as ModelsBody).models;
    },
    modelFile: async (model, file, { signal, onProgress } = {}) =>
      (await get(modelFilePath(model, file), signal, onProgress)).body,
    health: async ({ signal } = {}) => {
      const tried = await get('/health/ready', signal).catch((error: unknown) => error);
      if (!(tried instanceof Error)) return 'ready';
      return tried instanceof ApiError && tried.status > 0 ? 'not-ready' : 'away';
    },
  };
}

/** modelFilePath: where a file of a version lies. Its hash is part of the address, so that caches never mix up two files. */
export function modelFilePath({ name, version, files }: ModelInfo, file: string): string {
  const hash = files[file]?.sha256;
  const path = `/v1/models/${encodeURIComponent(name)}/${version}/files/${encodeURIComponent(file)}`;
  return hash === undefined ? path : `${path}?sha256=${hash}`;
}

/** What a request asks for; what is undefined is the server's choice. */
export type Query = Readonly<Record<string, string | number | undefined>>;

/** `?a=1&b=2`, or '' without values; what is omitted is the server's choice. */
function queryOf(values: Query): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
  return given.length === 0 ? '' : `?${query}`;
}

function upload(send: Send, url: string, file: Blob, { signal, onProgress }: CallOptions): Promise<Reply> {
  const body = new FormData();
  body.append('image', file, file instanceof File ? file.name : 'image');
  const extras = { ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }) };
  return ask(send, { method: 'POST', url, body, ...extras });
}

async function generate(url: string, prompt: string, { signal, onPiece, ...options }: GenerateCallOptions) {
  try {
    const response = await openAnswer(url, { prompt, ...options, stream: true }, signal);
    const { status, headers, ok, body } = response;
    if (!ok || body === null) throw await errorOf({ status, headers, body: await response.blob() });
    for await (const data of eventsOf(body)) {
      const event = JSON.parse(data) as GenerateEvent | GenerateBody | ErrorBody;
      if ('error' in event) throw brokenOff(event);
      if ('candidates' in event) return { body: event, ...factsOf({ headers }) };
      onPiece?.(event);
    }
    throw new Unreachable();
  } catch (error) {
    signal?.throwIfAborted();
    throw asApiError(error);
  }
}

/** An error that came after the answer had begun with 200. */
function brokenOff({ error: { code, message }, requestId }: ErrorBody): ApiError {
  const status = ['draining', 'not-ready', 'busy'].includes(code) ? 503 : 500;
  return new ApiError(status, code, message, requestId);
}

const factsOf = ({ headers }: Pick<Reply, 'headers'>): AnswerFacts => ({
  model: headers.get('x-model') ?? '',
  requestId: headers.get('x-request-id') ?? '',
  frames: Number(headers.get('x-first-frame-of') ?? 1),
});

const imageOf = (reply: Reply): ImageAnswer => ({ image: reply.body, ...factsOf(reply) });

const bodyOf = async <T>(reply: Reply): Promise<BodyAnswer<T>> => ({
  body: JSON.parse(await reply.body.text()) as T,
  ...factsOf(reply),
});

/** The reply where it is a success; everything else is thrown. */
async function ask(send: Send, outgoing: Parameters<Send>[0]): Promise<Reply> {
  let reply: Reply;
  try {
    reply = await send(outgoing);
  } catch (error) {
    throw asApiError(error);
  }
  if (reply.status >= 200 && reply.status < 300) return reply;
  throw await errorOf(reply);
}

const asApiError = (error: unknown): unknown =>
  error instanceof Unreachable ? new ApiError(0, 'unreachable', error.message) : error;

async function errorOf(reply: Reply): Promise<ApiError> {
  const text = await reply.body.text();
  const requestId = reply.headers.get('x-request-id') ?? '';
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    return new ApiError(reply.status, error.code, error.message, requestId);
  } catch {
    return new ApiError(reply.status, 'unexpected', `The server answered with status ${reply.status}.`, requestId);
  }
}

/** The model of a task that is named, NAME or NAME@VERSION; by default the one called like its task, else one that is loaded. */
export function findModel(models: readonly ModelInfo[], task: string, named?: string): ModelInfo | undefined {
  const able = models.filter((one) => one.task === task);
  if (named !== undefined) return able.find(({ name, version }) => named === name || named === `${name}@${version}`);
  return able.find(({ name }) => name === task) ?? able.find(({ active }) => active) ?? able[0];
}

/** The same; throws `not-found` where there is none. */
export function modelFor(models: readonly ModelInfo[], task: string, named?: string): ModelInfo {
  const found = findModel(models, task, named);
  const what = named === undefined ? `a model for ${task}` : `${named} for ${task}, in the version that serves`;
  if (found === undefined) throw new FettleError('not-found', `modelFor: expected ${what}, got none`);
  return found;
}
