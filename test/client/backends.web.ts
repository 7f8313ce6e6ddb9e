import { runtimeFiles } from '../../client/local/runtimes.ts';
import { openWebSession, type WebDevice } from '../../training/run/ort.web.ts';

/** One run of a model on a device of the browser, called from the test: plain numbers in and out. */
interface Job {
  readonly device: WebDevice;
  readonly model: readonly number[];
  readonly input: string;
  readonly output: string;
  readonly runs: readonly { readonly dims: readonly number[]; readonly data: readonly number[] }[];
}

async function runOn({ device, model, input, output, runs }: Job): Promise<number[][]> {
  const files = runtimeFiles[device];
  const session = await openWebSession(Uint8Array.from(model), { device, ...(files === undefined ? {} : { files }) });
  const results: number[][] = [];
  for (const { dims, data } of runs) {
    const { [output]: result } = await session.run({
      [input]: { dtype: 'float32', dims, data: Float32Array.from(data) },
    });
    if (result === undefined) throw new Error(`runOn: expected an output ${output}, got ${session.outputNames}`);
    results.push([...(result.data as Float32Array)]);
  }
  await session.release();
  return results;
}

Object.assign(globalThis, { runOn });
