/* The backends of a page: takes a job as JSON with numbers in lists, and answers likewise. */
import { runtimeFiles } from '../../../client/local/runtimes.ts';
import { type DType, dtypes } from '../../../training/core/dtype.ts';
import type { Tensor } from '../../../training/core/tensor.ts';
import { openSession, usableWebDevices, type WebDevice } from '../../../training/run/ort.web.ts';
import type { Tensors } from '../../../training/run/session.ts';
import { doJob, type Job } from './jobs.ts';

interface PlainTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: readonly number[];
}
type PlainTensors = Readonly<Record<string, PlainTensor>>;

function toTensor({ dtype, dims, data }: PlainTensor): Tensor {
  const made = dtypes[dtype].make(data.length);
  (made as Float32Array).set(data);
  return { dtype, dims, data: made };
}

const mapValues = <A, B>(record: Readonly<Record<string, A>>, to: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, to(value)]));

/** Models travel as base64. */
const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

type PlainJob =
  | { readonly kind: 'run'; readonly model: string; readonly feeds: readonly PlainTensors[] }
  | Exclude<Job, { kind: 'run' }>;

const jobOf = (plain: PlainJob): Job =>
  plain.kind === 'run'
    ? { kind: 'run', model: bytesOf(plain.model), feeds: plain.feeds.map((feeds) => mapValues(feeds, toTensor)) }
    : plain;

async function answer(device: WebDevice, plain: PlainJob): Promise<unknown> {
  const files = runtimeFiles[device];
  const found = await doJob(jobOf(plain), (model) => openSession(model, { device, ...(files ? { files } : {}) }));
  if (plain.kind !== 'run') return found;
  return (found as readonly Tensors[]).map((outputs) =>
    mapValues(outputs, ({ dtype, dims, data }) => ({ dtype, dims, data: Array.from(data as Float32Array) })),
  );
}

/** Why a device is not to be had here even by name, or ''. */
async function whyAbsent(device: WebDevice): Promise<string> {
  const { skipped } = await usableWebDevices(device);
  return skipped[0]?.reason ?? '';
}

Object.assign(globalThis, { answer, whyAbsent });
