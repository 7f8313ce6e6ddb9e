import type { Graph, Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

/*
 * One loop over time, in two forms: written out step by step, which every provider runs, or as ONNX's Scan, which has a
 * fraction of the nodes but is a node of the CPU. Numbers lie as [T,R,N]: a time step is one matrix [R,N], contiguous.
 */

/** `unrolled` runs on every provider; `scan` is a CPU node elsewhere, and quicker to load. */
export type LoopForm = 'unrolled' | 'scan';

/** A value per time step: as one [T,R,N], as T times [R,N], or both; each is made when it is asked for. */
export class Sequence {
  private all: Value | undefined;
  private each: readonly Value[] | undefined;

  private constructor(all: Value | undefined, each: readonly Value[] | undefined) {
    this.all = all;
    this.each = each;
  }

  /** x[T,R,N] along T. */
  static of(x: Value): Sequence {
    return new Sequence(x, undefined);
  }

  static join(steps: readonly Value[]): Sequence {
    return new Sequence(undefined, steps);
  }

  /** [T,R,N]. */
  get whole(): Value {
    this.all ??= this.stacked();
    return this.all;
  }

  /** T times [R,N]. */
  get steps(): readonly Value[] {
    this.each ??= this.cut();
    return this.each;
  }

  /** Rows are stacked and cut as [T*R,N]: reshapes cost nothing, a Squeeze per step is a node. */
  private stacked(): Value {
    const steps = this.each!;
    return o.reshape(o.concat(steps, 0), [steps.length, ...(steps[0]!.shape as number[])]);
  }

  private cut(): readonly Value[] {
    const [t, r, n] = this.all!.shape as [number, number, number];
    return o.split(
      o.reshape(this.all!, [t * r, n]),
      Array.from({ length: t }, () => r),
      0,
    );
  }
}

export interface LoopStep {
  /** The next states, of the shapes of the last. */
  readonly states: readonly Value[];
  /** What is kept of this step, [R,N] each. */
  readonly outputs: readonly Value[];
}

export interface Loop {
  readonly sequences: readonly Sequence[];
  /** The first states. */
  readonly states: readonly Value[];
  /** Values that every step reads. */
  readonly shared: readonly Value[];
  /** From the last time step to the first; slices keep their places. */
  readonly reverse?: boolean;
  /** One step: a slice [R,N] per sequence, the states so far, the shared values. */
  readonly step: (slices: readonly Value[], states: readonly Value[], shared: readonly Value[]) => LoopStep;
}

export interface LoopResult {
  readonly states: readonly Value[];
  readonly outputs: readonly Sequence[];
}

/** Runs `spec.step` over time. */
export const loop = (spec: Loop, form: LoopForm): LoopResult => (form === 'scan' ? scanned(spec) : unrolled(spec));

function unrolled({ sequences, states: first, shared, reverse = false, step }: Loop): LoopResult {
  const times = Array.from(sequences[0]!.steps, (_, t) => t);
  const kept: (readonly Value[])[] = [];
  let states = first;
  for (const t of reverse ? times.reverse() : times) {
    const result = step(
      sequences.map((sequence) => sequence.steps[t]!),
      states,
      shared,
    );
    states = result.states;
    kept[t] = result.outputs;
  }
  return { states, outputs: kept[0]!.map((_, i) => Sequence.join(kept.map((outputs) => outputs[i]!))) };
}

/** The body of a Scan: its inputs are the states, then a slice of each sequence. */
function bodyOf(graph: Graph, { sequences, states, shared, step }: Loop): Graph {
  const body = graph.body('step');
  const input = ({ dtype }: Value, name: string, shape: Value['shape']): Value =>
    body.input(`${body.name}/${name}`, dtype, shape);
  const last = states.map((state, i) => input(state, `state${i}`, state.shape));
  const slices = sequences.map(({ whole }, i) => input(whole, `slice${i}`, whole.shape.slice(1)));
  const next = step(
    slices,
    last,
    shared.map((value) => body.captured(value)),
  );
  [...next.states, ...next.outputs].forEach((value, i) => {
    body.output(`${body.name}/out${i}`, value);
  });
  return body;
}

function scanned(spec: Loop): LoopResult {
  const wholes = spec.sequences.map(({ whole }) => whole);
  const body = bodyOf(wholes[0]!.graph, spec);
  const results = o.scan(body, spec.states, wholes, spec.reverse ?? false);
  const count = spec.states.length;
  return { states: results.slice(0, count), outputs: results.slice(count).map((value) => Sequence.of(value)) };
}
