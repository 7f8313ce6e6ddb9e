import type { DataOf, DType } from '../core/dtype.ts';
import { ensure } from '../core/errors.ts';
import { need } from '../core/numbers.ts';
import type { Shape } from '../core/shape.ts';
import { showShape } from '../core/shape.ts';
import type { Tensor } from '../core/tensor.ts';

export type Attr =
  | { readonly kind: 'int' | 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'ints' | 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  /** The body of a control-flow operator, see {@link Graph.body}. */
  | { readonly kind: 'graph'; readonly value: Graph };

/** One edge of the graph: a named tensor whose dtype and shape are known while the graph is being built. */
export interface Value {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Set when the value is a constant of the graph (an ONNX initializer). */
  readonly constant?: Tensor;
  /** Set in the body of a control-flow operator: the value around it for which this one stands. */
  readonly outer?: Value;
}

/** A stretch of nodes whose derivative is written by hand instead of by the rules of its operators. */
export interface Region {
  /** The nodes are graph.nodes[first] to graph.nodes[end - 1]. */
  readonly first: number;
  readonly end: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** dys, one per output (undefined: nothing used it) -> one gradient per input; `needs[i]`: is it wanted? */
  readonly gradient: (dys: readonly (Value | undefined)[], needs: readonly boolean[]) => readonly (Value | undefined)[];
}

export interface Node {
  readonly op: string;
  /** '' for standard ONNX. */
  readonly domain: string;
  readonly name: string;
  /** `undefined` marks an optional input that is omitted. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attrs: Readonly<Record<string, Attr>>;
}

export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** An append-only graph: creation order is topological order. Knows ONNX's structure, not its operators. */
export class Graph {
  readonly name: string;
  readonly inputs: Value[] = [];
  readonly nodes: Node[] = [];
  readonly outputs: { readonly name: string; readonly value: Value }[] = [];
  /** Values that no gradient passes; see `detach`. */
  readonly detached = new Set<Value>();
  /** In the order of their nodes; they do not overlap. */
  readonly regions: Region[] = [];
  private readonly used: Set<string>;
  private readonly small = new Map<string, Value>();
  private readonly prefixes: string[] = [];

  constructor(name: string, used = new Set<string>()) {
    this.name = name;
    this.used = used;
  }

  /** An empty graph for the body of a control-flow operator: its names are unlike all names here, as ONNX wants. */
  body(name: string): Graph {
    return new Graph(this.unique(name), this.used);
  }

  /** In a body: the value `outer` of the graph around it. */
  captured(outer: Value): Value {
    return { ...outer, graph: this, outer };
  }

  /**
   * Runs `build`, and states that the derivative of what it makes of `inputs` is `gradient`. Nothing else that the nodes in
   * it read may depend on a parameter.
   */
  region(inputs: readonly Value[], build: () => readonly Value[], gradient: Region['gradient']): readonly Value[] {
    const first = this.nodes.length;
    const outputs = build();
    this.regions.push({ first, end: this.nodes.length, inputs, outputs, gradient });
    return outputs;
  }

  /** Runs `build` with `prefix` put before the names of the nodes that it makes: `down.0/conv`. */
  within<T>(prefix: string, build: () => T): T {
    this.prefixes.push(prefix);
    try {
      return build();
    } finally {
      this.prefixes.pop();
    }
  }

  /** A graph input. The name must be new. */
  input(name: string, dtype: DType, shape: Shape): Value {
    ensure(!this.used.has(name), 'bad-argument', () => `Graph.input: expected a new name, got '${name}' twice`);
    this.used.add(name);
    const value: Value = { graph: this, name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** A constant. Small ones (at most 64 elements) without a name are shared by content. */
  constant<D extends DType>(dtype: D, dims: readonly number[], data: DataOf[D], name?: string): Value {
    const key =
      name === undefined && data.length <= 64 ? `${dtype}[${dims}]${Array.from<number | bigint>(data)}` : undefined;
    const known = key === undefined ? undefined : this.small.get(key);
    if (known !== undefined) return known;
    const value: Value = {
      graph: this,
      name: this.unique(name ?? 'const'),
      dtype,
      shape: dims,
      constant: { dtype, dims, data },
    };
    if (key !== undefined) this.small.set(key, value);
    return value;
  }

  /** A rank-0 constant. */
  scalar(value: number, dtype: 'float32' | 'int32' | 'int64' | 'uint32' = 'float32'): Value {
    if (dtype === 'int64') return this.constant('int64', [], BigInt64Array.of(BigInt(value)));
    if (dtype === 'int32') return this.constant('int32', [], Int32Array.of(value));
    if (dtype === 'uint32') return this.constant('uint32', [], Uint32Array.of(value));
    return this.constant('float32', [], Float32Array.of(value));
  }

  /** A rank-1 int64 constant: axes, shapes, pads. */
  ints(values: readonly number[]): Value {
    return this.constant('int64', [values.length], BigInt64Array.from(values, BigInt));
  }

  /** Appends a node and returns its outputs, one per entry of `types`. */
  addNode(
    op: string,
    inputs: readonly (Value | undefined)[],
    types: readonly ValueType[],
    attrs: Node['attrs'] = {},
    domain = '',
  ): readonly Value[] {
    for (const input of inputs) {
      ensure(input === undefined || input.graph === this, 'bad-argument', () => {
        return `${op}: expected inputs of graph '${this.name}', got '${input?.name}' of '${input?.graph.name}'`;
      });
    }
    const name = this.unique([...this.prefixes, op].join('/'));
    const outputs = types.map(
      (type, i): Value => ({
        graph: this,
        name: types.length === 1 ? this.unique(`${name}.out`) : this.unique(`${name}.out${i}`),
        ...type,
      }),
    );
    this.nodes.push({ op, domain, name, inputs, outputs, attrs });
    return outputs;
  }

  /** Names `value` as a graph output. */
  output(name: string, value: Value): void {
    ensure(!this.outputs.some((output) => output.name === name), 'bad-argument', () => {
      return `Graph.output: expected a new name, got '${name}' twice`;
    });
    this.outputs.push({ name, value });
  }

  private unique(base: string): string {
    let name = base;
    for (let i = 1; this.used.has(name); i++) name = `${base}_${i}`;
    this.used.add(name);
    return name;
  }
}

/** `name: dtype[shape]`, for messages. */
export const showValue = (value: Value): string => `${value.name}: ${value.dtype}${showShape(value.shape)}`;

/** What a function of the user made, if it is a value of a graph; throws `bad-argument` otherwise. `where` names the function. */
export function needValue(where: string, value: unknown): Value {
  const isValue = typeof value === 'object' && value !== null && (value as Value).graph instanceof Graph;
  need(isValue, where, 'a value of the graph as its result', value, value === undefined ? 'add a return' : '');
  return value as Value;
}

/** The graph as text, one line per node with the result's type: for people and golden tests. */
export function printGraph(graph: Graph): string {
  const lines = graph.inputs.map((input) => `input ${showValue(input)}`);
  for (const node of graph.nodes) {
    const attrs = Object.entries(node.attrs).map(
      ([key, attr]) =>
        `${key}=${attr.kind === 'graph' ? `{${printGraph(attr.value)}}` : typeof attr.value === 'object' ? `[${attr.value}]` : attr.value}`,
    );
    const args = [...node.inputs.map((input) => input?.name ?? '-'), ...attrs].join(', ');
    lines.push(`${node.outputs.map(showValue).join(', ')} = ${node.op}(${args})`);
  }
  return [...lines, ...graph.outputs.map(({ name, value }) => `output ${name} = ${value.name}`)].join('\n');
}
