import './environment.node.ts';
import * as ort from 'onnxruntime-node';
import { ensure, FettleError, messageOf } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import { GpuMemory, placesOf, toTensor, wrapTensors } from './device-memory.ts';
import { probeModel } from './probe.ts';
import type { Device, DeviceMemory, Session, SkippedDevice, Tensors } from './session.ts';

// Errors are thrown and reported by us; ONNX Runtime's own log on stderr would repeat them.
ort.env.logLevel = 'fatal';

/** Devices that ONNX Runtime has in Node, in order of preference. */
export type NodeDevice = Extract<Device, 'cuda' | 'webgpu' | 'cpu'>;
const nodeDevices: readonly NodeDevice[] = ['cuda', 'webgpu', 'cpu'];

export interface OpenOptions {
  /** `cpu` by default; see {@link chooseDevice} for `auto`. */
  readonly device?: Device;
  /** Threads inside one operator; all cores by default. */
  readonly threads?: number;
  /**
   * Whether idle worker threads of ONNX Runtime spin while they wait for the next operator: fastest when this process
   * has the cores to itself (training), bad for whoever shares them (serving). True by default.
   */
  readonly spin?: boolean;
  /** Refuses a graph of which any node would run on the CPU instead of `device`; false by default. */
  readonly strict?: boolean;
}

/** openSession: model = ONNX bytes or the path of an .onnx file -> a loaded graph. */
export async function openSession(model: Uint8Array | string, options: OpenOptions = {}): Promise<Session> {
  const device = options.device ?? 'cpu';
  ensure(isNodeDevice(device), 'no-device', () => `openSession: expected ${nodeDevices.join(', ')}, got ${device}`);
  return new OrtSession(device, await create(model, device, sessionOptions(device, options)), options);
}

async function create(
  model: Uint8Array | string,
  device: NodeDevice,
  settings: ort.InferenceSession.SessionOptions,
): Promise<ort.InferenceSession> {
  try {
    // The two overloads of `create` do not accept the union of their arguments.
    return typeof model === 'string'
      ? await ort.InferenceSession.create(model, settings)
      : await ort.InferenceSession.create(model, settings);
  } catch (cause) {
    const what = typeof model === 'string' ? model : `${model.byteLength} bytes`;
    const reason = `expected a model that loads on ${device}, got ${what}: ${messageOf(cause)}`;
    throw new FettleError('bad-model', `openSession: ${reason}`, { cause });
  }
}

export interface ChosenDevice {
  readonly device: NodeDevice;
  /** Devices that would have been preferred, each with the reason why it is not used. */
  readonly skipped: readonly SkippedDevice[];
}

/**
 * chooseDevice: the first of cuda, webgpu, cpu on which a one-node model really runs.
 * A device asked for by name that is not there throws `no-device`.
 */
export async function chooseDevice(preference: NodeDevice | 'auto'): Promise<ChosenDevice> {
  const skipped: SkippedDevice[] = [];
  for (const device of preference === 'auto' ? nodeDevices : [preference]) {
    const reason = await unavailableReason(device);
    if (reason === undefined) return { device, skipped };
    skipped.push({ device, reason });
  }
  const reasons = skipped.map((one) => `${one.device}: ${one.reason}`).join('; ');
  throw new FettleError(
    'no-device',
    `chooseDevice: expected ${preference} to be usable, got ${reasons}; try --device auto`,
  );
}

const isNodeDevice = (device: Device): device is NodeDevice => (nodeDevices as readonly Device[]).includes(device);

/**
 * Channels first: in the default layout ONNX Runtime 1.30 computes wrong convolutions where the channels are a multiple of 3 but not of 4, more
 * than 3, and the filters a multiple of 4.
 */
const webgpu = { name: 'webgpu', preferredLayout: 'NCHW' } as const;

function sessionOptions(device: NodeDevice, options: OpenOptions): ort.InferenceSession.SessionOptions {
  const own = device === 'webgpu' ? webgpu : device;
  const extra = {
    ...(options.spin === false ? { intra_op: { allow_spinning: '0' } } : {}),
    ...(options.strict === true && device !== 'cpu' ? { disable_cpu_ep_fallback: '1' } : {}),
  };
  return {
    executionProviders: device === 'cpu' || options.strict === true ? [own] : [own, 'cpu'],
    graphOptimizationLevel: 'all',
    // The pattern is a second block of memory, as large as what the first run took: half as much again at the peak of a training
    // step, and not measurably faster.
    enableMemPattern: false,
    logSeverityLevel: 4,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads, interOpNumThreads: 1 }),
    extra: { session: extra },
  };
}

/** The reason why `device` cannot be used, or undefined when the probe ran on it. */
async function unavailableReason(device: NodeDevice): Promise<string | undefined> {
  const backends = ort.listSupportedBackends();
  const backend = backends.find((one) => one.name === device);
  if (backend === undefined) return 'this build of onnxruntime-node does not have it';
  try {
    const session = await openSession(probeModel(), { device, threads: 1 });
    const { y } = await session.run({ x: { dtype: 'float32', dims: [2], data: Float32Array.of(1, -2) } });
    await session.release();
    return y?.data[0] === -1 && y.data[1] === 2 ? undefined : `a test graph gave a wrong result (${y?.data})`;
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return (
      shortened(messageOf(cause)) +
      (device === 'cuda' ? ' (its libraries are a separate download: docs/reference/devices.md)' : '')
    );
  }
}

/** The first line of ONNX Runtime's message without the C++ location and condition in front. */
const shortened = (message: string): string =>
  (message.trim().split('\n', 1)[0] ?? '').replace(/^.* was false\. /, '').slice(0, 300);

/** Memories of the WebGPU device, by how their graphs are opened: one for all sessions that are opened alike. */
const gpuMemories = new Map<string, DeviceMemory>();

function webgpuMemory(options: OpenOptions): DeviceMemory {
  const settings = sessionOptions('webgpu', options);
  const key = JSON.stringify(settings);
  const known = gpuMemories.get(key);
  if (known !== undefined) return known;
  const memory = new GpuMemory(ort.Tensor, (model, kept) =>
    create(model, 'webgpu', { ...settings, preferredOutputLocation: placesOf(kept) }),
  );
  gpuMemories.set(key, memory);
  return memory;
}

class OrtSession implements Session {
  readonly device: NodeDevice;
  readonly memory?: DeviceMemory;
  readonly #session: ort.InferenceSession;

  constructor(device: NodeDevice, session: ort.InferenceSession, options: OpenOptions) {
    this.device = device;
    this.#session = session;
    // The one device of ONNX Runtime in Node whose buffers JavaScript can hold.
    if (device === 'webgpu') this.memory = webgpuMemory(options);
  }

  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  async run(feeds: Tensors, fetches?: Tensors): Promise<Tensors> {
    const inputs = wrapTensors(ort.Tensor, feeds, this.inputNames);
    if (fetches === undefined) return unwrap(await this.#session.run(inputs));
    await this.#session.run(inputs, wrapTensors(ort.Tensor, fetches, this.outputNames, 'fetch'));
    return fetches;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

function unwrap(results: ort.InferenceSession.OnnxValueMapType): Tensors {
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(results) as [string, ort.Tensor][])
    tensors[name] = toTensor(value, name, value.data);
  return tensors;
}
