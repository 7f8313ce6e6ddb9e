import { z } from 'zod';
import type { ModelConfig } from '../training/core/model-config.ts';
import { mostSeed } from '../training/core/rng.ts';

// Wire types and their schemas. The page imports types from here, so nothing of Node may be imported.

/** A model's name: its folder, its route's stem and what the command line calls it. */
export const modelName = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'expected a-z, 0-9 and - with a letter first');

/** A file's name inside a version's folder. */
export const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected letters, digits, . _ and -');

export const versionNumber = z.int().min(1);

const fileEntry = z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), sizeBytes: z.int().min(0) });

const imageModelSpec = z.object({
  inputName: z.string().min(1),
  outputName: z.string().min(1),
  multipleOf: z.int().min(1).max(256),
  halo: z.int().min(0).max(4096),
  normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
});

const colorByte = z.int().min(0).max(255);
const segmentModelSpec = z.object({
  inputName: z.string().min(1),
  outputName: z.string().min(1),
  shortSide: z.int().min(8).max(4096),
  classes: z
    .array(z.object({ name: z.string().min(1), color: z.tuple([colorByte, colorByte, colorByte]) }))
    .min(2)
    .max(255),
  normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
});

const side = z.int().min(8).max(4096);
const classifyModelSpec = z.object({
  inputName: z.string().min(1),
  outputName: z.string().min(1),
  width: side,
  height: side,
  resize: z.enum(['crop', 'squish']),
  classes: z.array(z.string().min(1)).min(2).max(10_000),
  normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
});

/** `config.json` of a version. */
export const modelConfig: z.ZodType<ModelConfig> = z.object({
  name: modelName,
  task: z.enum(['restore', 'segment', 'classify', 'text']),
  version: versionNumber,
  createdAt: z.iso.datetime(),
  description: z.string(),
  image: imageModelSpec.exactOptional(),
  segment: segmentModelSpec.exactOptional(),
  classify: classifyModelSpec.exactOptional(),
  files: z.record(fileName, fileEntry),
  metrics: z.record(z.string(), z.number()),
});

/** `active.json` of a model: the version that serves, and those that served before it, the latest last. */
export const activeFile = z.object({
  version: versionNumber.nullable(),
  history: z.array(versionNumber),
  /** The highest number ever given out, so that a removed version's number never comes back with other content. */
  highest: z.int().min(0),
});
export type ActiveFile = z.infer<typeof activeFile>;

/** Query of `POST /v1/restore`; `format` left out means as the input, else png. */
export const restoreQuery = z.strictObject({
  scale: z
    .enum(['1', '2', '4'])
    .default('1')
    .transform((text) => Number(text) as 1 | 2 | 4),
  format: z.enum(['png', 'jpeg', 'webp']).exactOptional(),
  quality: z
    .string()
    .regex(/^\d{1,3}$/, 'expected a whole number 1..100')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(90),
  metadata: z.enum(['keep', 'strip', 'all']).default('keep'),
});
export type RestoreQuery = z.infer<typeof restoreQuery>;
export type OutputFormat = 'png' | 'jpeg' | 'webp';

/** Query of `POST /v1/segment`; `opacity` is that of the colours in an overlay. */
export const segmentQuery = z.strictObject({
  output: z.enum(['mask', 'overlay', 'json']).default('mask'),
  opacity: z
    .string()
    .regex(/^(0?\.\d{1,6}|1\.0{1,6}|[01])$/, 'expected a number 0..1')
    .transform(Number)
    .default(0.5),
});
export type SegmentQuery = z.infer<typeof segmentQuery>;

/** Query of `POST /v1/classify`; `top` is how many labels come back. */
export const classifyQuery = z.strictObject({
  top: z
    .string()
    .regex(/^\d{1,3}$/, 'expected a whole number 1..100')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(5),
});
export type ClassifyQuery = z.infer<typeof classifyQuery>;

/** One class of `POST /v1/segment?output=json`. */
export interface SegmentShare {
  readonly id: number;
  readonly name: string;
  /** RGB 0..255. */
  readonly color: readonly [number, number, number];
  /** Of the picture's pixels, 0..1. */
  readonly share: number;
  /** COCO's compressed run lengths, `size` is [height, width]. */
  readonly rle: { readonly size: readonly [number, number]; readonly counts: string };
}

/** Answer of `POST /v1/segment?output=json`: every class of the model, those that do not occur with a share of 0. */
export interface SegmentBody {
  readonly width: number;
  readonly height: number;
  readonly classes: readonly SegmentShare[];
}

/** Answer of `POST /v1/classify`: the most probable labels, the likeliest first. */
export interface ClassifyBody {
  readonly labels: readonly { readonly label: string; readonly probability: number }[];
}

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

/** One entry of `GET /v1/models`: a model, described by the version that is loaded, else by the one that should be. */
export interface ModelInfo
  extends Pick<ModelConfig, 'name' | 'task' | 'version' | 'description' | 'image' | 'segment' | 'classify' | 'files'> {
  /** Whether this version is loaded and answers requests. */
  readonly active: boolean;
  readonly inputs: readonly { readonly name: string; readonly type: 'image' | 'text' }[];
  /** The model card, markdown. */
  readonly card: string;
  /** Every version there is, ascending. */
  readonly versions: readonly number[];
}

export interface ModelsBody {
  readonly models: readonly ModelInfo[];
}

/** Body of `GET /health/*`; `reason` when it is not 200. */
export interface HealthBody {
  readonly status: 'ok' | 'unavailable';
  readonly reason?: string;
}

/** Every answer that is not a success. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string };
  readonly requestId: string;
}
