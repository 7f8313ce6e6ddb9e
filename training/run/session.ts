import type { DType } from '../core/dtype.ts';
import type { Tensor } from '../core/tensor.ts';

/** Where a graph runs. `webgl` and `wasm` exist in the browser only, `cuda` and `cpu` in Node only. */
export type Device = 'cpu' | 'cuda' | 'webgpu' | 'webgl' | 'wasm';

export type Tensors = Readonly<Record<string, Tensor>>;

/** A loaded graph: the one interface to ONNX Runtime that the rest of fettle knows. */
export interface Session {
  readonly device: Device;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Memory of the device in which results can stay between runs; undefined where there is none of its own, or no way to it. */
  readonly memory?: DeviceMemory;
  /**
   * Runs the graph. With `fetches`, results are written into those tensors' own memory (pre-allocated outputs; every
   * output of the graph must be named); without, new tensors come back. Never call it on a thread that serves HTTP.
   */
  run(feeds: Tensors, fetches?: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/** A tensor in the memory of a device. Whoever holds it disposes of it: garbage collection does not free it. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  dispose(): void;
}

/** The memory of a device. */
export interface DeviceMemory {
  /** Tensors there that were made through this memory and not yet disposed of. */
  readonly live: number;
  /** A graph on this device whose outputs `kept` stay there. */
  open(model: Uint8Array, kept: readonly string[]): Promise<ResidentGraph>;
  upload(tensor: Tensor<'float32'>): Promise<DeviceTensor>;
  /** Copies the elements of `from` into `into`, which has as many. */
  download(from: DeviceTensor, into: Float32Array): Promise<void>;
}

/** A graph that takes tensors of its device, and leaves some of its results there. */
export interface ResidentGraph {
  readonly inputNames: readonly string[];
  /** `results` came back; `kept` are those named when the graph was opened, the caller's to dispose of. */
  run(feeds: Readonly<Record<string, Tensor | DeviceTensor>>): Promise<{
    readonly results: Tensors;
    readonly kept: Readonly<Record<string, DeviceTensor>>;
  }>;
  release(): Promise<void>;
}

/** A device that was skipped, and why, in words for the user. */
export interface SkippedDevice {
  readonly device: Device;
  readonly reason: string;
}
