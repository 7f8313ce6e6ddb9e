import type * as Ort from 'onnxruntime-web';
import { ensure, FettleError, messageOf } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import { decodeModel, encodeModel, type ModelProto } from '../onnx/schema.ts';
import { GpuMemory, placesOf, toTensor, wrapTensors } from './device-memory.ts';
import type { Device, DeviceMemory, Session, SkippedDevice, Tensors } from './session.ts';
import { bindDims, forWebgl } from './webgl-graph.ts';

/** Devices that ONNX Runtime has in a browser, in order of preference. */
export type WebDevice = Extract<Device, 'webgpu' | 'webgl' | 'wasm'>;
export const webDevices: readonly WebDevice[] = ['webgpu', 'webgl', 'wasm'];

/** URLs of the runtime's own loader (.mjs) and WebAssembly (.wasm) of one device. */
export interface RuntimeFiles {
  readonly mjs: string;
  readonly wasm: string;
}

export interface OpenOptions {
  /** `wasm` by default; see {@link chooseDevice} for `auto`. */
  readonly device?: WebDevice;
  /** Where the runtime is served from; beside the calling script by default. WebGL has no such files. */
  readonly files?: RuntimeFiles;
  /** Threads of WebAssembly; counts at the first session of a page or worker only. {@link webThreads} by default. */
  readonly threads?: number;
}

/** Threads that WebAssembly may use here: 1 unless the page is cross-origin isolated, else the cores, at most 8. */
export const webThreads = (): number =>
  globalThis.crossOriginIsolated ? Math.min(8, Math.max(1, navigator.hardwareConcurrency || 1)) : 1;

/**
 * openSession: model = ONNX bytes or the URL of an .onnx file -> a loaded graph. On WebGL it is loaded per shape of its feeds, at the
 * first run of each.
 */
export async function openSession(model: Uint8Array | string, options: OpenOptions = {}): Promise<Session> {
  const { device = 'wasm' } = options;
  ensure(webDevices.includes(device), 'no-device', () => {
    return `openSession: expected ${webDevices.join(', ')}, got ${device}`;
  });
  const bytes = typeof model === 'string' ? await download(model) : model;
  const ort = await loadRuntime(device, options);
  if (device === 'webgl') return new WebglSession(ort, decodeModel(bytes));
  return new OrtWebSession(ort, device, await create(ort, device, bytes));
}

async function download(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  ensure(response.ok, 'not-found', () => `openSession: expected a model at ${url}, got HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Each runtime is a module of its own, so that a page downloads only the one that it uses. */
const runtimes: Record<WebDevice, () => Promise<typeof Ort>> = {
  webgpu: () => import('onnxruntime-web/webgpu'),
  webgl: () => import('onnxruntime-web/webgl'),
  wasm: () => import('onnxruntime-web/wasm'),
};

async function loadRuntime(device: WebDevice, { files, threads }: OpenOptions): Promise<typeof Ort> {
  const ort = await runtimes[device]();
  ort.env.logLevel = 'error';
  if (device !== 'webgl') {
    if (files !== undefined) ort.env.wasm.wasmPaths = { mjs: files.mjs, wasm: files.wasm };
    ort.env.wasm.numThreads = threads ?? webThreads();
  }
  return ort;
}

/** Channels first: in the default layout ONNX Runtime 1.30 computes some convolutions wrong; see ort.node.ts. */
const webgpu = { name: 'webgpu', preferredLayout: 'NCHW' } as const;

async function create(
  ort: typeof Ort,
  device: WebDevice,
  model: Uint8Array,
  kept: readonly string[] = [],
): Promise<Ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(model, {
      executionProviders: [device === 'webgpu' ? webgpu : device],
      graphOptimizationLevel: 'all',
      ...(kept.length === 0 ? {} : { preferredOutputLocation: placesOf(kept) }),
    });
  } catch (cause) {
    const got = `${model.byteLength} bytes: ${messageOf(cause)}`;
    throw new FettleError('bad-model', `openSession: expected a model that loads on ${device}, got ${got}`, {
      cause,
    });
  }
}

/** The memory of the page's WebGPU device: one for all sessions, which may hand tensors to each other. */
let gpuMemory: DeviceMemory | undefined;

class OrtWebSession implements Session {
  readonly device: WebDevice;
  readonly memory?: DeviceMemory;
  readonly #ort: typeof Ort;
  readonly #session: Ort.InferenceSession;

  constructor(ort: typeof Ort, device: WebDevice, session: Ort.InferenceSession) {
    this.#ort = ort;
    this.device = device;
    this.#session = session;
    if (device !== 'webgpu') return;
    gpuMemory ??= new GpuMemory(ort.Tensor, (model, kept) => create(ort, 'webgpu', model, kept));
    this.memory = gpuMemory;
  }

  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  async run(feeds: Tensors, fetches?: Tensors): Promise<Tensors> {
    return finish(await this.#session.run(wrapTensors(this.#ort.Tensor, feeds, this.inputNames)), fetches);
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** Sizes of a photo's tiles are few: inner, right edge, bottom edge, corner. */
const shapesKept = 4;

/** The WebGL backend takes static shapes only, so this is one session per shape of the feeds, the latest few kept. */
class WebglSession implements Session {
  readonly device = 'webgl';
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #ort: typeof Ort;
  readonly #model: ModelProto;
  readonly #byShape = new Map<string, Ort.InferenceSession>();

  constructor(ort: typeof Ort, model: ModelProto) {
    const weights = new Set(model.graph.initializer.map((one) => one.name));
    this.#ort = ort;
    this.#model = model;
    this.inputNames = model.graph.input.map((one) => one.name).filter((name) => !weights.has(name));
    this.outputNames = model.graph.output.map((one) => one.name);
  }

  async run(feeds: Tensors, fetches?: Tensors): Promise<Tensors> {
    const session = await this.#sessionFor(feeds);
    return finish(await session.run(wrapTensors(this.#ort.Tensor, feeds, this.inputNames)), fetches);
  }

  async release(): Promise<void> {
    for (const session of this.#byShape.values()) await session.release();
    this.#byShape.clear();
  }

  async #sessionFor(feeds: Tensors): Promise<Ort.InferenceSession> {
    const sizes = bindDims(this.#model, feeds);
    const key = JSON.stringify([...sizes]);
    const session =
      this.#byShape.get(key) ?? (await create(this.#ort, 'webgl', encodeModel(forWebgl(this.#model, sizes))));
    this.#byShape.delete(key); // back in at the end: a Map keeps the order of insertion, so its first is the oldest
    this.#byShape.set(key, session);
    await this.#dropOldest();
    return session;
  }

  async #dropOldest(): Promise<void> {
    const [oldest] = this.#byShape;
    if (this.#byShape.size <= shapesKept || oldest === undefined) return;
    this.#byShape.delete(oldest[0]);
    await oldest[1].release();
  }
}

/** Results as our tensors; with `fetches`, copied into them (no browser backend writes into memory of ours). */
async function finish(results: Ort.InferenceSession.OnnxValueMapType, fetches?: Tensors): Promise<Tensors> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(results) as [string, Ort.Tensor][])
    tensors[name] = toTensor(value, name, await value.getData(true));
  if (fetches === undefined) return tensors;
  for (const [name, into] of Object.entries(fetches)) copyInto(into, tensors[name], name);
  return fetches;
}

function copyInto(into: Tensor, from: Tensor | undefined, name: string): void {
  const fits = from?.dtype === into.dtype && from.data.length === into.data.length;
  ensure(
    fits,
    'bad-argument',
    () => `run: expected ${name} as ${from?.dtype} [${from?.dims}], got a fetch [${into.dims}]`,
  );
  (into.data as Float32Array).set(from?.data as Float32Array);
}

export interface UsableWebDevices {
  /** Devices worth trying, the best first. Opening a session may still fail: then the next one's turn comes. */
  readonly usable: readonly WebDevice[];
  readonly skipped: readonly SkippedDevice[];
}

/** usableWebDevices: which devices this browser has; by name or `auto` = all in order of preference. */
export async function usableWebDevices(preference: WebDevice | 'auto'): Promise<UsableWebDevices> {
  const usable: WebDevice[] = [];
  const skipped: SkippedDevice[] = [];
  for (const device of preference === 'auto' ? webDevices : [preference]) {
    const reason = await unavailableReason[device](preference !== 'auto');
    if (reason === undefined) usable.push(device);
    else skipped.push({ device, reason });
  }
  return { usable, skipped };
}

export interface ChosenDevice {
  readonly device: WebDevice;
  /** Devices that would have been preferred, each with the reason why it is not used. */
  readonly skipped: readonly SkippedDevice[];
}

/** chooseDevice: the best device that this browser has; throws `no-device` with the reasons when there is none. */
export async function chooseDevice(preference: WebDevice | 'auto'): Promise<ChosenDevice> {
  const { usable, skipped } = await usableWebDevices(preference);
  const device = usable[0];
  const reasons = skipped.map((one) => `${one.device}: ${one.reason}`).join('; ');
  ensure(device !== undefined, 'no-device', () => `chooseDevice: expected ${preference} to be usable, got ${reasons}`);
  return { device, skipped };
}

/**
 * The reason why a device is skipped, or undefined. GPUs emulated in software are skipped too unless asked for
 * by name (`forced`): WebAssembly does the same arithmetic on the same cores with less in between.
 */
const unavailableReason: Record<WebDevice, (forced: boolean) => Promise<string | undefined>> = {
  webgpu: async (forced) => {
    if (!globalThis.isSecureContext) return 'WebGPU needs https or localhost';
    if (!('gpu' in navigator)) return 'this browser has no WebGPU';
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter === null) return 'no graphics adapter for WebGPU';
    return adapter.info.isFallbackAdapter && !forced ? 'its adapter is emulated in software' : undefined;
  },
  webgl: async (forced) => {
    if (typeof OffscreenCanvas === 'undefined') return 'this browser has no OffscreenCanvas';
    const gl = new OffscreenCanvas(1, 1).getContext('webgl2', { failIfMajorPerformanceCaveat: !forced });
    if (gl === null) return forced ? 'no WebGL 2 here' : 'no WebGL 2 here, or only one emulated in software';
    const writesFloats = gl.getExtension('EXT_color_buffer_float') !== null;
    const emulated = isEmulated(gl);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    if (!writesFloats) return 'its WebGL 2 cannot write 32-bit floats';
    return emulated && !forced ? 'its WebGL 2 is emulated in software' : undefined;
  },
  wasm: async () => (typeof WebAssembly === 'undefined' ? 'this browser has no WebAssembly' : undefined),
};

function isEmulated(gl: WebGL2RenderingContext): boolean {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  return (
    info !== null && /swiftshader|llvmpipe|softpipe|basic render/i.test(gl.getParameter(info.UNMASKED_RENDERER_WEBGL))
  );
}
