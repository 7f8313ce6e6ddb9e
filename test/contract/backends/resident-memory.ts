import type { Tensor } from '../../../training/core/tensor.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { DeviceMemory, DeviceTensor, ResidentGraph, Session } from '../../../training/run/session.ts';

/** A tensor of {@link HostMemory}. */
interface Kept extends DeviceTensor {
  readonly tensor: Tensor;
}

/**
 * The memory of a device that is the CPU: what training on a device does with its memory can be seen, and made to fail, without a
 * GPU. `fail` is asked before each action and may throw.
 */
export class HostMemory implements DeviceMemory {
  live = 0;
  readonly opened: Uint8Array[] = [];
  fail: (action: 'open' | 'run' | 'upload' | 'download') => void = () => {};

  async open(model: Uint8Array, kept: readonly string[]): Promise<ResidentGraph> {
    this.fail('open');
    this.opened.push(model);
    const session = await openSession(model, { threads: 1 });
    let released = false;
    return {
      inputNames: session.inputNames,
      run: async (feeds) => {
        if (released) throw new Error('the graph was released');
        this.fail('run');
        const given = Object.entries(feeds).map(([name, one]) => [name, 'data' in one ? one : (one as Kept).tensor]);
        const all = Object.entries(await session.run(Object.fromEntries(given)));
        return {
          results: Object.fromEntries(all.filter(([name]) => !kept.includes(name))),
          kept: Object.fromEntries(kept.map((name) => [name, this.#hold(all.find(([one]) => one === name)![1])])),
        };
      },
      release: async () => {
        released = true;
        await session.release();
      },
    };
  }

  async upload({ dtype, dims, data }: Tensor<'float32'>): Promise<DeviceTensor> {
    this.fail('upload');
    return this.#hold({ dtype, dims, data: data.slice() });
  }

  async download(from: DeviceTensor, into: Float32Array): Promise<void> {
    this.fail('download');
    into.set((from as Kept).tensor.data as Float32Array);
  }

  #hold(tensor: Tensor): Kept {
    this.live += 1;
    const dispose = (): void => {
      this.live -= 1;
    };
    return { dtype: tensor.dtype, dims: tensor.dims, tensor, dispose };
  }
}

/** An opener of sessions that claim to have `memory`; what it opens is reported to `opened`. */
export function openerOn(memory: DeviceMemory, opened: Uint8Array[] = []) {
  return async (model: Uint8Array): Promise<Session> => {
    opened.push(model);
    const session = await openSession(model, { threads: 1 });
    const { device, inputNames, outputNames } = session;
    return {
      device,
      inputNames,
      outputNames,
      memory,
      run: (feeds, fetches) => session.run(feeds, fetches),
      release: () => session.release(),
    };
  };
}
