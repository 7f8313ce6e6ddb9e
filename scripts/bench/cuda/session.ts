import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { FettleError, messageOf } from '../../../training/core/errors.ts';
import type { Tensor } from '../../../training/core/tensor.ts';
import type { Session, Tensors } from '../../../training/run/session.ts';

export interface LoadedOrt {
  readonly ort: typeof Ort;
  readonly version: string;
}

/** ONNX Runtime of the package folder `path`; without it, that of this project. */
export function loadOrt(path?: string): LoadedOrt {
  const require = createRequire(import.meta.url);
  const folder = path === undefined ? undefined : resolve(path);
  const ort = require(folder ?? 'onnxruntime-node') as typeof Ort;
  const manifest = folder === undefined ? 'onnxruntime-node/package.json' : join(folder, 'package.json');
  return { ort, version: (require(manifest) as { version: string }).version };
}

export interface OpenOptions {
  readonly provider: 'cpu' | 'cuda';
  /** The profiler writes one file per session, whose name begins so. */
  readonly profile?: string;
  /** Gets the milliseconds of each run. */
  readonly onRun?: (ms: number) => void;
}

/** Opens graphs with an ONNX Runtime that is not the project's own; results are copied to the host. */
export async function open({ ort }: LoadedOrt, model: Uint8Array, options: OpenOptions): Promise<Session> {
  const { provider, profile, onRun } = options;
  const loading = ort.InferenceSession.create(model, {
    executionProviders: [provider],
    enableMemPattern: false,
    logSeverityLevel: 3,
    ...(provider === 'cpu' ? { intraOpNumThreads: 1 } : {}),
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
  });
  const session = await loading.catch((cause: unknown) => {
    throw new FettleError('bad-model', `expected a model that loads on ${provider}: ${messageOf(cause)}`, { cause });
  });
  const wrap = (tensors: Tensors, names: readonly string[]): Record<string, Ort.Tensor> =>
    Object.fromEntries(
      names.map((name) => {
        const one = tensors[name];
        if (one === undefined) throw new FettleError('bad-argument', `run: expected a feed for ${name}, got none`);
        return [name, new ort.Tensor(one.dtype, one.data as never, one.dims)];
      }),
    );
  return {
    device: provider,
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    async run(feeds, fetches) {
      const started = performance.now();
      const inputs = wrap(feeds, session.inputNames);
      const results =
        fetches === undefined
          ? await session.run(inputs)
          : await session.run(inputs, wrap(fetches, session.outputNames));
      onRun?.(performance.now() - started);
      if (fetches !== undefined) return fetches;
      const plain = ({ type, dims, data }: Ort.Tensor): Tensor => ({ dtype: type, dims, data }) as Tensor;
      return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, plain(value as Ort.Tensor)]));
    },
    async release() {
      if (profile !== undefined) session.endProfiling();
      await session.release();
    },
  };
}
