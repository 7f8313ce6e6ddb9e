import type { ErrorBody, ModelInfo, ModelsBody, OutputFormat } from '../server/contract.ts';
import { FettleError } from '../training/core/errors.ts';
import type { Scale } from '../training/data/transforms/pixels.ts';
import { fetchSend, type Reply, type Send, Unreachable } from './transport.ts';

export type { ModelInfo, OutputFormat } from '../server/contract.ts';
export type { Scale } from '../training/data/transforms/pixels.ts';

/** How far a restoration is. `fraction` 0..1 where it is known. */
export interface Progress {
  readonly phase: 'upload' | 'model' | 'restore' | 'download' | 'encode';
  readonly fraction?: number;
}

export interface RestoreOptions {
  /** How many times larger the picture comes back; 1 when not given. */
  readonly scale?: Scale;
  /** The format of the result; that of the input when not given, else PNG. */
  readonly format?: OutputFormat;
  /** 1..100, for JPEG and WebP; 90 when not given. */
  readonly quality?: number;
  /** Whether EXIF data stays: without the place (`keep`), with it (`all`) or not at all. `keep` when not given. */
  readonly metadata?: 'keep' | 'strip' | 'all';
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface RestoredByServer {
  readonly image: Blob;
  /** NAME@VERSION. */
  readonly model: string;
  readonly requestId: string;
  /** Frames of an animation, of which the first is restored; 1 for pictures that stand still. */
  readonly frames: number;
}

export type Health = 'ready' | 'not-ready' | 'away';

export interface Client {
  /** Sends a picture file; it comes back restored, in the same format where we write it, upright, in sRGB. */
  restore(file: Blob, options?: RestoreOptions): Promise<RestoredByServer>;
  models(options?: { readonly signal?: AbortSignal }): Promise<readonly ModelInfo[]>;
  /** The bytes of a file of a model's version: `model.onnx` … */
  modelFile(model: ModelInfo, file: string, options?: { readonly signal?: AbortSignal }): Promise<Blob>;
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
  /** Origin (and path) of the server, such as `https://fettle.example`; the page's own when not given. */
  readonly baseUrl?: string;
  /** How requests are sent; fetch when not given. `xhrSend` tells how far an upload is, which fetch cannot. */
  readonly send?: Send;
}

/** createClient: the server's HTTP interface with types. Throws {@link ApiError} for whatever is not a success. */
export function createClient({ baseUrl = '', send = fetchSend }: ClientOptions = {}): Client {
  const url = (path: string): string => baseUrl.replace(/\/$/, '') + path;
  const get = (path: string, signal?: AbortSignal): Promise<Reply> =>
    ask(send, { method: 'GET', url: url(path), ...(signal === undefined ? {} : { signal }) });
  return {
    restore: (file, options = {}) => restore(send, url('/v1/restore'), file, options),
    models: async ({ signal } = {}) => {
      const reply = await get('/v1/models', signal);
      return (JSON.parse(await reply.body.text()) as ModelsBody).models;
    },
    modelFile: async (model, file, { signal } = {}) => (await get(modelFilePath(model, file), signal)).body,
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

async function restore(send: Send, url: string, file: Blob, options: RestoreOptions): Promise<RestoredByServer> {
  const { signal, onProgress } = options;
  const body = new FormData();
  body.append('image', file, file instanceof File ? file.name : 'image');
  const reply = await ask(send, {
    method: 'POST',
    url: `${url}?${queryOf(options)}`,
    body,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return {
    image: reply.body,
    model: reply.headers.get('x-model') ?? '',
    requestId: reply.headers.get('x-request-id') ?? '',
    frames: Number(reply.headers.get('x-first-frame-of') ?? 1),
  };
}

function queryOf({ scale = 1, format, quality, metadata }: RestoreOptions): URLSearchParams {
  const query = new URLSearchParams({ scale: String(scale) });
  if (format !== undefined) query.set('format', format);
  if (quality !== undefined) query.set('quality', String(quality));
  if (metadata !== undefined) query.set('metadata', metadata);
  return query;
}

/** The reply where it is a success; everything else is thrown. */
async function ask(send: Send, outgoing: Parameters<Send>[0]): Promise<Reply> {
  let reply: Reply;
  try {
    reply = await send(outgoing);
  } catch (error) {
    if (error instanceof Unreachable) throw new ApiError(0, 'unreachable', error.message);
    throw error;
  }
  if (reply.status >= 200 && reply.status < 300) return reply;
  throw await errorOf(reply);
}

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

/** The model of a task, the one that is loaded before one that should be; throws `not-found` where there is none. */
export function modelFor(models: readonly ModelInfo[], task: ModelInfo['task']): ModelInfo {
  const able = models.filter((one) => one.task === task);
  const found = able.find((one) => one.active) ?? able[0];
  if (found === undefined) throw new FettleError('not-found', `modelFor: expected a model for ${task}, got none`);
  return found;
}
