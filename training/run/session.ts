import type { Tensor } from '../core/tensor.ts';

/** Where a graph runs. `webgl` and `wasm` exist in the browser only, `cuda` and `cpu` in Node only. */
export type Device = 'cpu' | 'cuda' | 'webgpu' | 'webgl' | 'wasm';

export type Tensors = Readonly<Record<string, Tensor>>;

/** A loaded graph: the one interface to ONNX Runtime that the rest of fettle knows. */
export interface Session {
  readonly device: Device;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the graph. With `fetches`, results are written into those tensors' own memory (pre-allocated outputs; every
   * output of the graph must be named); without, new tensors come back. Never call it on a thread that serves HTTP.
   */
  run(feeds: Tensors, fetches?: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/** A device that was passed over, and why, in words for the user. */
export interface SkippedDevice {
  readonly device: Device;
  readonly reason: string;
}
