import { FettleError } from '../../../training/core/errors.ts';
import { f32, type Tensor, tensor } from '../../../training/core/tensor.ts';
import { probeModel } from '../../../training/run/probe.ts';
import type { Session, Tensors } from '../../../training/run/session.ts';
import { type TrainJob, trainNet } from './nets.ts';

/*
 * What a backend is asked to do, wherever it runs: in this process, in another, in a page. Answers are plain data.
 */

export interface OpenJobOptions {
  /** No node may fall back to the CPU, where the backend can state so. */
  readonly strict?: boolean;
}
export type OpenJob = (model: Uint8Array, options?: OpenJobOptions) => Promise<Session>;

export type Job =
  | { readonly kind: 'run'; readonly model: Uint8Array; readonly feeds: readonly Tensors[]; readonly strict?: boolean }
  | ({ readonly kind: 'train' } & TrainJob)
  | { readonly kind: 'check'; readonly title: string };

/** What each kind of job answers. */
export interface Answers {
  /** The outputs, by name, for each of the feeds. */
  readonly run: readonly Tensors[];
  /** Losses. */
  readonly train: readonly number[];
  /** What was found, which is what was wanted when all is well. */
  readonly check: { readonly found: unknown; readonly wanted: unknown };
}

async function runAll({ model, feeds, strict = false }: Extract<Job, { kind: 'run' }>, open: OpenJob) {
  const session = await open(model, { strict });
  const results: Tensors[] = [];
  for (const one of feeds) results.push(await session.run(one));
  await session.release();
  return results;
}

async function codeOf(promise: Promise<unknown>): Promise<readonly [code: string, text: string]> {
  try {
    await promise;
  } catch (error) {
    return error instanceof FettleError ? [error.code, error.message] : ['other', String(error)];
  }
  return ['none', ''];
}

type Check = (session: Session, open: OpenJob) => Promise<Answers['check']>;
const x = f32([2], [3, -4]);

/** What every session does, whatever is below it: y = -x for f32[2]. */
export const checks: Readonly<Record<string, Check>> = {
  'names its inputs and outputs': async ({ inputNames, outputNames }) => ({
    found: [...inputNames, ...outputNames],
    wanted: ['x', 'y'],
  }),
  'returns new tensors': async (session) => {
    const { y } = await session.run({ x });
    return { found: [y!.dtype, [...y!.dims], [...(y!.data as Float32Array)]], wanted: ['float32', [2], [-3, 4]] };
  },
  'reads and writes parts of one buffer': async (session) => {
    const all = Float32Array.of(9, 1, 2, 9, 0, 0, 9);
    const y: Tensor = tensor('float32', [2], all.subarray(4, 6));
    const results = await session.run({ x: tensor('float32', [2], all.subarray(1, 3)) }, { y });
    return { found: [results.y === y, ...all], wanted: [true, 9, 1, 2, 9, -1, -2, 9] };
  },
  'writes an output over its own input': async (session) => {
    const both = f32([2], [5, 6]);
    await session.run({ x: both }, { y: both });
    return { found: [...both.data], wanted: [-5, -6] };
  },
  'names a feed that is missing': async (session) => {
    const [code, text] = await codeOf(session.run({}));
    return { found: [code, /feed for x/.test(text)], wanted: ['bad-argument', true] };
  },
  'refuses a feed of another shape': async (session) => {
    const [code] = await codeOf(session.run({ x: f32([3], [1, 2, 3]) }));
    return { found: code !== 'none', wanted: true };
  },
  'runs again after a run that failed': async (session) => {
    await codeOf(session.run({ x: f32([3], [1, 2, 3]) }));
    const { y } = await session.run({ x });
    return { found: [...(y!.data as Float32Array)], wanted: [-3, 4] };
  },
  'says what does not load': async (_session, open) => {
    const [code] = await codeOf(open(Uint8Array.of(1, 2, 3)));
    return { found: code, wanted: 'bad-model' };
  },
};

async function runCheck(title: string, open: OpenJob): Promise<Answers['check']> {
  const session = await open(probeModel());
  try {
    return await checks[title]!(session, open);
  } finally {
    await session.release();
  }
}

export function doJob(job: Job, open: OpenJob): Promise<Answers[Job['kind']]> {
  if (job.kind === 'run') return runAll(job, open);
  if (job.kind === 'check') return runCheck(job.title, open);
  return trainNet(job, (model) => open(model, { strict: true }));
}
