import { ensure } from '../core/errors.ts';
import { mixSeed } from '../core/rng.ts';
import { sizeOf } from '../core/tensor.ts';
import type { Graph, Value } from '../onnx/graph.ts';
import type { Init } from './init.ts';
import type { LoopForm } from './loop.ts';

/** A parameter (trained) or buffer (running statistic) that a model asked its scope for. */
export interface ParamSpec {
  /** Full name, torchvision's where torchvision has the model: `layer1.0.conv1.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'param' | 'buffer';
  readonly init: Init;
  /** Whether weight decay applies; false for norms and biases. */
  readonly decay: boolean;
}

/** The current value of every parameter and buffer by name, f32. */
export type Weights = ReadonlyMap<string, Float32Array>;

/** What all scopes of one graph share. */
interface ScopeState {
  readonly graph: Graph;
  readonly training: boolean;
  readonly weights: Weights | undefined;
  readonly loops: LoopForm;
  readonly specs: Map<string, ParamSpec>;
  readonly values: Map<string, Value>;
  readonly updates: Map<string, Value>;
  randomLayers: number;
}

/** Options of {@link createScope}. */
export interface ScopeOptions {
  /** True while training: batch statistics and dropout are on. */
  readonly training: boolean;
  /** With weights, parameters become constants of the graph (inference export); without, graph inputs. */
  readonly weights?: Weights;
  /** How loops over time are written; unrolled by default. */
  readonly loops?: LoopForm;
}

/**
 * Hands out named parameters to a model, which is a pure function of (scope, input, config). The same function makes the
 * training graph, the evaluation graph and the exported one.
 */
export class Scope {
  private readonly state: ScopeState;
  private readonly prefix: string;
  /** Whether names that are taken already mean the parameters that are there. */
  private readonly shares: boolean;

  constructor(state: ScopeState, prefix: string, shares = false) {
    this.state = state;
    this.prefix = prefix;
    this.shares = shares;
  }

  get graph(): Graph {
    return this.state.graph;
  }

  get training(): boolean {
    return this.state.training;
  }

  /** How loops over time are written. */
  get loops(): LoopForm {
    return this.state.loops;
  }

  /** True in a graph whose weights are constants: one for inference, which may use operators that have no gradient. */
  get exported(): boolean {
    return this.state.weights !== undefined;
  }

  /** Every parameter and buffer asked for so far, in the order of asking. */
  get specs(): readonly ParamSpec[] {
    return [...this.state.specs.values()];
  }

  /** The graph value of each parameter and buffer, by full name. */
  get values(): ReadonlyMap<string, Value> {
    return this.state.values;
  }

  /** The new value of each buffer that the forward pass updates, by full name. */
  get updates(): ReadonlyMap<string, Value> {
    return this.state.updates;
  }

  /** Runs `build` in the scope `name`: parameters and nodes get the prefix `name`. */
  in<T>(name: string | number, build: (scope: Scope) => T): T {
    return this.enter(name, build, this.shares);
  }

  /** {@link in}, where parameters and buffers that exist already are used again: tied weights, two passes of one net. */
  share<T>(name: string | number, build: (scope: Scope) => T): T {
    return this.enter(name, build, true);
  }

  private enter<T>(name: string | number, build: (scope: Scope) => T, shares: boolean): T {
    return this.graph.within(String(name), () => build(new Scope(this.state, `${this.prefix}${name}.`, shares)));
  }

  /** `name` with this scope's prefix. */
  fullName(name: string): string {
    return this.prefix + name;
  }

  /** A trained parameter, f32. Throws `bad-argument` when the name is taken, unless the scope shares: {@link share}. */
  param(name: string, shape: readonly number[], init: Init, decay = shape.length > 1): Value {
    return this.declare({ name: this.prefix + name, shape, kind: 'param', init, decay });
  }

  /**
   * What `build` makes of parameters (a normalised weight, say). In an exported graph it is the constant `name` that
   * `compute` works out from the weights, so that no part of it is left to the runtime.
   */
  derived(
    name: string,
    shape: readonly number[],
    build: () => Value,
    compute: (weights: Weights) => Float32Array,
  ): Value {
    const { weights } = this.state;
    if (weights === undefined) return build();
    const init = (): Float32Array => compute(weights);
    const spec: ParamSpec = { name: this.prefix + name, shape, kind: 'param', init, decay: false };
    return this.declare(spec, () => this.graph.constant('float32', shape, init(), spec.name));
  }

  /** A value that the forward pass keeps up to date by itself (running statistics), f32. */
  buffer(name: string, shape: readonly number[], init: Init): Value {
    return this.declare({ name: this.prefix + name, shape, kind: 'buffer', init, decay: false });
  }

  /**
   * States what buffer `name` becomes after this step. Running statistics are updated while training only; a state that is
   * carried from batch to batch (of a recurrent net) is updated in evaluation too.
   */
  update(name: string, value: Value): void {
    this.state.updates.set(this.prefix + name, value);
  }

  /** What buffer `name` is at this point of the pass: its last update, or `value` before there was one. */
  latest(name: string, value: Value): Value {
    return this.state.updates.get(this.prefix + name) ?? value;
  }

  /** A different whole number for each caller in the graph: the `layer` of its random numbers. */
  nextRandomLayer(): number {
    return this.state.randomLayers++;
  }

  /** The value of `spec`, made by `make` when it is asked for the first time. */
  private declare(spec: ParamSpec, make = (): Value => this.made(spec)): Value {
    const { specs, values } = this.state;
    const known = specs.get(spec.name);
    if (known !== undefined) {
      const same = known.kind === spec.kind && String(known.shape) === String(spec.shape);
      ensure(this.shares && same, 'bad-argument', () => this.takenText(spec, known));
      return values.get(spec.name)!;
    }
    const value = make();
    specs.set(spec.name, spec);
    values.set(spec.name, value);
    return value;
  }

  private takenText(spec: ParamSpec, known: ParamSpec): string {
    const own = spec.name.slice(this.prefix.length);
    const show = (one: ParamSpec): string => `${one.kind === 'param' ? 'parameter' : 'buffer'} [${one.shape}]`;
    const where = this.prefix === '' ? "the model's scope" : `scope ${this.prefix.slice(0, -1)}`;
    const got = `${where}: expected ${this.shares ? 'the same shape and kind for a name that is shared' : 'a new name'}, got ${own} as a ${show(spec)} and as a ${show(known)}`;
    return this.shares
      ? got
      : `${got}; name each layer, scope.in('first', (s) => layer(s, x)), or share its parameters, scope.share('first', ...)`;
  }

  private made(spec: ParamSpec): Value {
    const { weights } = this.state;
    if (weights === undefined) return this.graph.input(spec.name, 'float32', spec.shape);
    const data = weights.get(spec.name);
    ensure(data?.length === sizeOf(spec.shape), 'bad-checkpoint', () => {
      return `weights: expected ${spec.name} with ${sizeOf(spec.shape)} values [${spec.shape}], got ${data?.length ?? 'none'}; the weights belong to another model`;
    });
    return this.graph.constant('float32', spec.shape, data, spec.name);
  }
}

/** The root scope of `graph`. */
export const createScope = (graph: Graph, { training, weights, loops = 'unrolled' }: ScopeOptions): Scope =>
  new Scope(
    {
      graph,
      training,
      weights,
      loops,
      specs: new Map(),
      values: new Map(),
      updates: new Map(),
      randomLayers: 0,
    },
    '',
  );

/** First values of every parameter and buffer; each depends only on `seed`, its own name and those declared before it. */
export function initialWeights(specs: readonly ParamSpec[], seed: number): Map<string, Float32Array> {
  const made = new Map<string, Float32Array>();
  for (const spec of specs) made.set(spec.name, spec.init(spec.shape, mixSeed(seed, spec.name), made));
  return made;
}
