import type * as Ort from 'onnxruntime-web';
import { type DType, dtypes } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import { identityModel } from './probe.ts';
import type { DeviceMemory, DeviceTensor, ResidentGraph, Tensors } from './session.ts';

/** What Node's runtime and the browser's have in common, as far as it is needed here. */
type TensorClass = typeof Ort.Tensor;
type OpenKept = (model: Uint8Array, kept: readonly string[]) => Promise<Ort.InferenceSession>;

/** Our hold on a tensor of the runtime. */
class Held implements DeviceTensor {
  readonly tensor: Ort.Tensor;
  readonly #onDispose: () => void;
  #disposed = false;

  constructor(tensor: Ort.Tensor, onDispose: () => void) {
    this.tensor = tensor;
    this.#onDispose = onDispose;
  }

  get dtype(): DType {
    return this.tensor.type as DType;
  }

  get dims(): readonly number[] {
    return this.tensor.dims;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.tensor.dispose();
    this.#onDispose();
  }
}

/** A result that came back, as our tensor. */
export function toTensor(value: Ort.Tensor, name: string, data: Ort.Tensor['data']): Tensor {
  const { type } = value;
  ensure(type in dtypes, 'unsupported', () => {
    return `run: expected a dtype of ${Object.keys(dtypes)}, got ${type} from ${name}`;
  });
  return { dtype: type as DType, dims: value.dims, data: data as Tensor['data'] };
}

/** Tensors by name as the runtime's; views over the callers' memory, nothing is copied. `role` is what they are to a run. */
export function wrapTensors(
  tensorClass: TensorClass,
  tensors: Tensors,
  names: readonly string[],
  role: 'feed' | 'fetch' = 'feed',
): Record<string, Ort.Tensor> {
  const wrap = (name: string): Ort.Tensor => {
    const one = tensors[name];
    ensure(one !== undefined, 'bad-argument', () => `run: expected a ${role} for ${name}, got ${Object.keys(tensors)}`);
    return new tensorClass(one.dtype, one.data as never, one.dims);
  };
  return Object.fromEntries(names.map((name) => [name, wrap(name)]));
}

/** A graph of one Identity, opened when something is to be carried; after a failure or {@link release}, opened anew. */
class Carrier {
  readonly #open: () => Promise<Ort.InferenceSession>;
  readonly #running = new Set<Promise<unknown>>();
  #session: Promise<Ort.InferenceSession> | undefined;

  constructor(open: () => Promise<Ort.InferenceSession>) {
    this.#open = open;
  }

  /** y = x, where this graph leaves its results. */
  async carry(x: Ort.Tensor): Promise<Ort.Tensor> {
    const run = this.#run(x);
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await Promise.allSettled(this.#running);
    await (await session?.catch(() => undefined))?.release();
  }

  async #run(x: Ort.Tensor): Promise<Ort.Tensor> {
    const { y } = await (await this.#opened()).run({ x });
    return y as Ort.Tensor;
  }

  #opened(): Promise<Ort.InferenceSession> {
    if (this.#session !== undefined) return this.#session;
    const opening = this.#open();
    this.#session = opening;
    opening.catch(() => {
      if (this.#session === opening) this.#session = undefined;
    });
    return opening;
  }
}

/**
 * Memory of a GPU, reached through sessions whose outputs stay there. Numbers go there and come back by a graph of one
 * Identity, released with the last graph: in Node, `getData()` of such a tensor ends the process (ONNX Runtime 1.30).
 */
export class GpuMemory implements DeviceMemory {
  readonly #tensorClass: TensorClass;
  readonly #open: OpenKept;
  readonly #up: Carrier;
  readonly #down: Carrier;
  #live = 0;
  #graphs = 0;

  constructor(tensorClass: TensorClass, open: OpenKept) {
    this.#tensorClass = tensorClass;
    this.#open = open;
    this.#up = new Carrier(() => open(identityModel(), ['y']));
    this.#down = new Carrier(() => open(identityModel(), []));
  }

  get live(): number {
    return this.#live;
  }

  async open(model: Uint8Array, kept: readonly string[]): Promise<ResidentGraph> {
    const session = await this.#open(model, kept);
    this.#graphs += 1;
    return {
      inputNames: session.inputNames,
      run: async (feeds) => this.#sort(await session.run(this.#wrap(feeds, session.inputNames)), new Set(kept)),
      release: async () => {
        await session.release();
        this.#graphs -= 1;
        if (this.#graphs === 0) await Promise.all([this.#up.release(), this.#down.release()]);
      },
    };
  }

  async upload(tensor: Tensor<'float32'>): Promise<DeviceTensor> {
    return this.#hold(await this.#up.carry(this.#wrap({ x: tensor }, ['x']).x!));
  }

  async download(from: DeviceTensor, into: Float32Array): Promise<void> {
    const { data } = await this.#down.carry(this.#wrap({ x: from }, ['x']).x!);
    into.set(data as Float32Array);
  }

  #hold(tensor: Ort.Tensor): DeviceTensor {
    this.#live += 1;
    return new Held(tensor, () => {
      this.#live -= 1;
    });
  }

  #wrap(feeds: Readonly<Record<string, Tensor | DeviceTensor>>, names: readonly string[]): Record<string, Ort.Tensor> {
    const wrap = (name: string): Ort.Tensor => {
      const one = feeds[name];
      ensure(one !== undefined, 'bad-argument', () => `run: expected a feed for ${name}, got ${Object.keys(feeds)}`);
      if (one instanceof Held) return one.tensor;
      ensure('data' in one, 'bad-argument', () => `run: expected a tensor of this device for ${name}, got another's`);
      return new this.#tensorClass(one.dtype, one.data as never, one.dims);
    };
    return Object.fromEntries(names.map((name) => [name, wrap(name)]));
  }

  #sort(values: Ort.InferenceSession.OnnxValueMapType, keeps: ReadonlySet<string>) {
    const results: Record<string, Tensor> = {};
    const kept: Record<string, DeviceTensor> = {};
    for (const [name, value] of Object.entries(values) as [string, Ort.Tensor][]) {
      if (keeps.has(name)) kept[name] = this.#hold(value);
      else results[name] = toTensor(value, name, value.data);
    }
    return { results: results as Tensors, kept };
  }
}

/** Where the outputs of a session go: `kept` stay on the GPU, and the others come back. */
export const placesOf = (kept: readonly string[]): Record<string, 'gpu-buffer'> =>
  Object.fromEntries(kept.map((name) => [name, 'gpu-buffer']));
