import { FettleError, messageOf } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import type { DeviceMemory, DeviceTensor, ResidentGraph, Tensors } from '../run/session.ts';
import { flatNames, flatStep } from '../step/flat-state.ts';
import { type NumberGroup, numberGroups, type Residence, type Span, type TrainState } from '../step/state.ts';
import { nextName, type StepGraphs } from '../step/train-step.ts';

/** One flat tensor of a state, here and on the device. */
interface Part {
  readonly group: NumberGroup;
  readonly host: Float32Array;
  tensor: DeviceTensor | undefined;
  /** Whether the device has newer numbers than the host. */
  ahead: boolean;
}

function partsOf({ spans, params, grads, moments, buffers }: TrainState): Map<string, Part> {
  const part = (group: NumberGroup, host: Float32Array): Part => ({ group, host, tensor: undefined, ahead: false });
  const of = (whole: Float32Array, { offset, size }: Span): Float32Array => whole.subarray(offset, offset + size);
  const parts = spans.flatMap((span, i): [string, Part][] => [
    [flatNames.param(i), part('params', of(params, span))],
    [flatNames.grad(i), part('grads', of(grads, span))],
    ...moments.map((moment, k): [string, Part] => [flatNames.moment(i, k), part('moments', of(moment, span))]),
  ]);
  return new Map([...parts, [flatNames.buffers, part('buffers', buffers)]]);
}

const lost = 'training: expected the numbers that the device keeps, which are newer than those of the state';
/** Keeps the numbers of a state on a device from step to step, and fetches them when they are asked for. */
class ResidentState implements Residence {
  readonly #parts: ReadonlyMap<string, Part>;
  #memory: DeviceMemory | undefined;

  constructor(state: TrainState) {
    this.#parts = partsOf(state);
  }

  /** The named flat tensors on the device; those that are not there yet, or out of date there, are uploaded. */
  async feeds(memory: DeviceMemory, names: readonly string[]): Promise<Record<string, DeviceTensor>> {
    this.#memory = memory;
    const feeds: Record<string, DeviceTensor> = {};
    for (const name of names) {
      const part = this.#parts.get(name)!;
      part.tensor ??= await memory.upload({ dtype: 'float32', dims: [part.host.length], data: part.host });
      feeds[name] = part.tensor;
    }
    return feeds;
  }

  /** Takes what a graph left on the device as the newest of a flat tensor; the one before is disposed of. */
  keep(name: string, tensor: DeviceTensor): void {
    const part = this.#parts.get(name)!;
    part.tensor?.dispose();
    part.tensor = tensor;
    part.ahead = true;
  }

  /** All that is newer on the device, or nothing of it: parameters of one step with the moments of another are of no use. */
  async toHost(groups: readonly NumberGroup[] = numberGroups): Promise<void> {
    const ahead = [...this.#parts.values()].filter((part) => part.ahead && groups.includes(part.group));
    const fetched: Float32Array[] = [];
    try {
      for (const { tensor, host } of ahead) {
        const into = new Float32Array(host.length);
        await this.#memory!.download(tensor!, into);
        fetched.push(into);
      }
    } catch (cause) {
      throw new FettleError('no-device', `${lost}, got: ${messageOf(cause)}; continue from a checkpoint`, { cause });
    }
    for (const [i, part] of ahead.entries()) {
      part.host.set(fetched[i]!);
      part.ahead = false;
    }
  }

  hostChanged(groups: readonly NumberGroup[] = numberGroups): void {
    for (const part of this.#parts.values()) {
      if (!groups.includes(part.group)) continue;
      part.tensor?.dispose();
      part.tensor = undefined;
      part.ahead = false;
    }
  }
}

/** Works with the numbers where the run keeps them; outside a run they are on the host again afterwards. */
async function residing<T>(state: TrainState, work: (numbers: ResidentState) => Promise<T>): Promise<T> {
  if (state.residence instanceof ResidentState) return work(state.residence);
  const numbers = new ResidentState(state);
  try {
    const result = await work(numbers);
    await numbers.toHost();
    return result;
  } finally {
    numbers.hostChanged();
  }
}

/** Of a run that failed the numbers are wanted too. Where the device itself has failed there are none to be had, and the error states so. */
async function afterFailure(numbers: ResidentState, error: unknown): Promise<never> {
  const gone = await numbers.toHost().then(() => undefined, messageOf);
  if (gone === undefined) throw error;
  const code = error instanceof FettleError ? error.code : 'no-device';
  throw new FettleError(code, `${messageOf(error)} (afterwards, ${gone})`, { cause: error });
}

/** The state on the device for {@link residing}, for as long as `run` lasts. */
export async function keepResident<T>(state: TrainState, run: () => Promise<T>): Promise<T> {
  const numbers = new ResidentState(state);
  state.residence = numbers;
  try {
    const result = await run().catch((error: unknown) => afterFailure(numbers, error));
    await numbers.toHost();
    return result;
  } finally {
    state.residence = undefined;
    numbers.hostChanged();
  }
}

const isFlat = (name: string): boolean => name.startsWith('flat.');

/** Forward and backward with the state on the device; the graph is made for the first state that comes. */
export function residentStep({ training }: StepGraphs, memory: DeviceMemory) {
  let made: { readonly state: TrainState; readonly graph: ResidentGraph } | undefined;
  const graphFor = async (state: TrainState): Promise<ResidentGraph> => {
    if (made?.state === state) return made.graph;
    const before = made;
    made = undefined;
    await before?.graph.release();
    const { model, results } = flatStep(training, state);
    made = { state, graph: await memory.open(model, results) };
    return made.graph;
  };
  const old = new Map([[nextName(flatNames.buffers), flatNames.buffers]]);
  return {
    /** The loss; gradients and buffers stay on the device. */
    async gradients(state: TrainState, feedsOf: (inputNames: readonly string[]) => Tensors): Promise<number> {
      const graph = await graphFor(state);
      return residing(state, async (numbers) => {
        const flats = await numbers.feeds(memory, graph.inputNames.filter(isFlat));
        const { results, kept } = await graph.run({ ...feedsOf(graph.inputNames), ...flats });
        for (const [name, tensor] of Object.entries(kept)) numbers.keep(old.get(name) ?? name, tensor);
        return Number(results.loss!.data[0]);
      });
    },
    async release(): Promise<void> {
      const before = made;
      made = undefined;
      await before?.graph.release();
    },
  };
}

/**
 * An optimiser's graph on the numbers of the device. `places` states for each of its inputs which flat tensor that is, and
 * `<input>.next` is what becomes of it; gradients have no next.
 */
export async function residentUpdate(model: Uint8Array, memory: DeviceMemory, places: ReadonlyMap<string, string>) {
  const next = (input: string): string => `${input}.next`;
  const changed = [...places.keys()].filter((input) => !input.startsWith('grad.'));
  const graph = await memory.open(model, changed.map(next));
  return {
    update: (state: TrainState, hyper: Readonly<Record<string, Tensor>>): Promise<void> =>
      residing(state, async (numbers) => {
        const flats = await numbers.feeds(memory, [...places.values()]);
        const feeds = Object.fromEntries([...places].map(([input, flat]) => [input, flats[flat]!]));
        const { kept } = await graph.run({ ...feeds, ...hyper });
        for (const input of changed) numbers.keep(places.get(input)!, kept[next(input)]!);
      }),
    release: () => graph.release(),
  };
}
