import { type DType, dtypes } from '../core/dtype.ts';
import { FettleError } from '../core/errors.ts';
import { normalAxis, type Shape, staticShape } from '../core/shape.ts';
import type { Graph, Value } from '../onnx/graph.ts';
import { emit, emitAll, type OpName } from './table.ts';

/*
 * The builder: one function per operator, in the words of the field. Operands may be plain numbers where a scalar of
 * the other operand's dtype is meant. Defaults are ONNX's.
 */

export type Operand = Value | number;

type ScalarDType = 'float32' | 'int32' | 'int64' | 'uint32';

function pair(a: Operand, b: Operand): readonly [Value, Value] {
  if (typeof a !== 'number') return [a, typeof b === 'number' ? a.graph.scalar(b, a.dtype as ScalarDType) : b];
  if (typeof b !== 'number') return [b.graph.scalar(a, b.dtype as ScalarDType), b];
  throw new FettleError(
    'bad-argument',
    'binary operator: expected at least one graph value, got two numbers; compute it in TypeScript',
  );
}

const unary =
  (op: OpName) =>
  (x: Value): Value =>
    emit(x.graph, op as 'Neg', [x], {});
const binary =
  (op: OpName) =>
  (a: Operand, b: Operand): Value => {
    const [left, right] = pair(a, b);
    return emit(left.graph, op as 'Add', [left, right], {});
  };

export const identity = unary('Identity');
export const neg = unary('Neg');
export const abs = unary('Abs');
export const sqrt = unary('Sqrt');
export const exp = unary('Exp');
export const log = unary('Log');
export const reciprocal = unary('Reciprocal');
export const floor = unary('Floor');
export const erf = unary('Erf');
export const tanh = unary('Tanh');
export const sigmoid = unary('Sigmoid');
export const softplus = unary('Softplus');
export const relu = unary('Relu');
export const not = unary('Not');
export const add = binary('Add');
export const sub = binary('Sub');
export const mul = binary('Mul');
export const div = binary('Div');
export const pow = binary('Pow');
export const maximum = binary('Max');
export const minimum = binary('Min');
export const and = binary('And');
export const greater = binary('Greater');
export const greaterOrEqual = binary('GreaterOrEqual');
export const less = binary('Less');
export const lessOrEqual = binary('LessOrEqual');
export const equal = binary('Equal');

/** x for x >= 0, else alpha * x. */
export const leakyRelu = (x: Value, alpha = 0.01): Value => emit(x.graph, 'LeakyRelu', [x], { alpha });

/** x limited to [low, high]. */
export function clip(x: Value, low: number, high: number): Value {
  const scalar = (value: number): Value => x.graph.scalar(value, x.dtype as ScalarDType);
  return emit(x.graph, 'Clip', [x, scalar(low), scalar(high)], {});
}

/** a where `condition`, else b; all three broadcast. Two numbers make an f32 result. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const dtype = (typeof a !== 'number' ? a.dtype : typeof b !== 'number' ? b.dtype : 'float32') as ScalarDType;
  const branch = (operand: Operand): Value =>
    typeof operand === 'number' ? condition.graph.scalar(operand, dtype) : operand;
  return emit(condition.graph, 'Where', [condition, branch(a), branch(b)], {});
}

/** x as another dtype; float to integer truncates. */
export const cast = (x: Value, to: DType): Value =>
  x.dtype === to ? x : emit(x.graph, 'Cast', [x], { to: dtypes[to].onnxCode });

interface ReduceOptions {
  /** All axes by default. */
  readonly axes?: readonly number[];
  readonly keepdims?: boolean;
}
const reduction =
  (op: 'ReduceSum' | 'ReduceMean' | 'ReduceMax') =>
  (x: Value, { axes, keepdims = false }: ReduceOptions = {}): Value => {
    const over = axes ?? x.shape.map((_, i) => i);
    if (over.length === 0) return x;
    return emit(x.graph, op, [x, x.graph.ints(over.map((axis) => normalAxis(axis, x.shape.length, op)))], {
      keepdims: keepdims ? 1 : 0,
    });
  };
export const reduceSum = reduction('ReduceSum');
export const reduceMean = reduction('ReduceMean');
export const reduceMax = reduction('ReduceMax');

/** exp(x) / sum(exp(x)) along `axis`. */
export const softmax = (x: Value, axis = -1): Value =>
  emit(x.graph, 'Softmax', [x], { axis: normalAxis(axis, x.shape.length, 'softmax') });

/** log(softmax(x)), composed of max, exp, sum and log: ONNX's LogSoftmax does not run on every provider. */
export function logSoftmax(x: Value, axis = -1): Value {
  const shifted = sub(x, reduceMax(x, { axes: [axis], keepdims: true }));
  return sub(shifted, log(reduceSum(exp(shifted), { axes: [axis], keepdims: true })));
}

/** a[...,M,K] b[...,K,N] -> [...,M,N]. */
export const matmul = (a: Value, b: Value): Value => emit(a.graph, 'MatMul', [a, b], {});

interface GemmOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
  readonly beta?: number;
}
/** alpha * a' b' + beta * c for matrices; a' is a or its transpose. */
export const gemm = (
  a: Value,
  b: Value,
  c?: Value,
  { transA = false, transB = false, alpha = 1, beta = 1 }: GemmOptions = {},
): Value => emit(a.graph, 'Gemm', [a, b, c], { alpha, beta, transA: transA ? 1 : 0, transB: transB ? 1 : 0 });

/** Same elements in another shape. One entry may be -1: whatever is left; 0 keeps the dimension at that place, also a symbolic one. */
export function reshape(x: Value, dims: readonly number[]): Value {
  const changed = x.shape.filter((_, i) => dims[i] !== 0);
  const total = staticShape(changed, 'reshape').reduce((product, dim) => product * dim, 1);
  const known = dims.filter((dim) => dim > 0).reduce((product, dim) => product * dim, 1);
  const target = dims.map((dim) => (dim === -1 ? total / known : dim));
  if (target.length === x.shape.length && target.every((dim, i) => dim === 0 || dim === x.shape[i])) return x;
  return emit(x.graph, 'Reshape', [x, x.graph.ints(target)], { allowzero: 0 });
}

/** Axes in another order: result axis i is x's axis perm[i]. */
export const transpose = (x: Value, perm: readonly number[]): Value =>
  perm.every((axis, i) => axis === i) ? x : emit(x.graph, 'Transpose', [x], { perm });

export function concat(values: readonly Value[], axis: number): Value {
  const first = values[0];
  if (first === undefined) throw new FettleError('bad-argument', 'concat: expected at least one value, got none');
  if (values.length === 1) return first;
  return emit(first.graph, 'Concat', values, { axis: normalAxis(axis, first.shape.length, 'concat') });
}

interface SliceOptions {
  readonly axes: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly steps?: readonly number[];
}
/** Elements from starts up to ends (omitted) along the given axes. */
export function slice(x: Value, { axes, starts, ends, steps = axes.map(() => 1) }: SliceOptions): Value {
  const keepsAll = axes.every((axis, i) => starts[i] === 0 && steps[i] === 1 && ends[i] === x.shape[axis]);
  if (keepsAll) return x;
  const ints = (values: readonly number[]): Value => x.graph.ints(values);
  return emit(x.graph, 'Slice', [x, ints(starts), ints(ends), ints(axes), ints(steps)], {});
}

/** x with the order of the elements reversed along `axes`. */
export const flip = (x: Value, axes: readonly number[]): Value =>
  slice(x, { axes, starts: axes.map(() => -1), ends: axes.map(() => -(2 ** 31)), steps: axes.map(() => -1) });

export type PadMode = 'constant' | 'reflect' | 'edge';
/** Pads all axes: `pads` are the starts of every axis, then the ends; negative ones crop. `value` fills in mode constant. */
export function pad(x: Value, pads: readonly number[], mode: PadMode = 'constant', value = 0): Value {
  if (pads.every((amount) => amount === 0)) return x;
  const inputs = [x, x.graph.ints(pads)];
  return emit(x.graph, 'Pad', value === 0 ? inputs : [...inputs, x.graph.scalar(value)], { mode });
}

/** Pads H and W of [N,C,H,W]. */
export const pad2d = (
  x: Value,
  [top, left, bottom, right]: readonly [number, number, number, number],
  mode: PadMode = 'constant',
): Value => pad(x, [0, 0, top, left, 0, 0, bottom, right], mode);

/** Pieces of `sizes` along `axis`. More than 8 pieces come from a tree of splits: WebGPU has no room for more outputs. */
export function split(x: Value, sizes: readonly number[], axis: number): readonly Value[] {
  const at = normalAxis(axis, x.shape.length, 'split');
  if (sizes.length === 1 && sizes[0] === x.shape[at]) return [x];
  if (sizes.length <= 8) return emitAll(x.graph, 'Split', [x, x.graph.ints(sizes)], { axis: at });
  let width = 8;
  while (width * 8 < sizes.length) width *= 8;
  const runs = Array.from({ length: Math.ceil(sizes.length / width) }, (_, i) =>
    sizes.slice(i * width, (i + 1) * width),
  );
  const parts = split(
    x,
    runs.map((run) => run.reduce((sum, size) => sum + size, 0)),
    at,
  );
  return parts.flatMap((part, i) => split(part, runs[i]!, at));
}

/** x without `axes`, which have size 1; other axes may be symbolic. */
export const squeeze = (x: Value, axes: readonly number[]): Value =>
  emit(x.graph, 'Squeeze', [x, x.graph.ints(axes)], {});

/** x with axes of size 1 at `axes` of the result; other axes may be symbolic. */
export const unsqueeze = (x: Value, axes: readonly number[]): Value =>
  emit(x.graph, 'Unsqueeze', [x, x.graph.ints(axes)], {});

/** x, through which no gradient flows. */
export function detach(x: Value): Value {
  const value = identity(x);
  x.graph.detached.add(value);
  return value;
}

/** Slices of x along `axis` at int32 or int64 indices 0..size-1; x's axis is replaced by the shape of `indices`. */
export const gather = (x: Value, indices: Value, axis = 0): Value =>
  emit(x.graph, 'Gather', [x, indices], { axis: normalAxis(axis, x.shape.length, 'gather') });

/** One element of `axis` per index: PyTorch's `gather`. indices have x's rank, and nowhere more elements than x. */
export const gatherElements = (x: Value, indices: Value, axis = 0): Value =>
  emit(x.graph, 'GatherElements', [x, indices], { axis: normalAxis(axis, x.shape.length, 'gatherElements') });

/** x with `updates` added at `indices` (of one shape) along `axis`: PyTorch's `scatter_add`. */
export const scatterAdd = (x: Value, indices: Value, updates: Value, axis = 0): Value =>
  emit(x.graph, 'ScatterElements', [x, indices, updates], {
    axis: normalAxis(axis, x.shape.length, 'scatterAdd'),
    reduction: 'add',
  });

/** x broadcast to `dims`. */
export const expand = (x: Value, dims: readonly number[]): Value =>
  emit(x.graph, 'Expand', [x, x.graph.ints(dims)], {});

/** int32 0, 1, ... n-1. */
export const arange = (graph: Graph, n: number): Value =>
  emit(graph, 'Range', [graph.scalar(0, 'int32'), graph.scalar(n, 'int32'), graph.scalar(1, 'int32')], {});

export interface ConvOptions {
  readonly stride?: number | readonly number[];
  /** Both sides alike, or all starts then all ends. */
  readonly padding?: number | readonly number[];
  readonly dilation?: number | readonly number[];
  readonly groups?: number;
}

/** Full ONNX attributes of a sliding window over `rank` spatial axes. */
export function windowAttrs(kernel: readonly number[], { stride = 1, padding = 0, dilation = 1 }: ConvOptions) {
  const all = (value: number | readonly number[], length: number): readonly number[] =>
    typeof value === 'number'
      ? Array.from({ length }, () => value)
      : value.length * 2 === length
        ? [...value, ...value]
        : value;
  const rank = kernel.length;
  return {
    kernel_shape: kernel,
    strides: all(stride, rank),
    pads: all(padding, 2 * rank),
    dilations: all(dilation, rank),
  };
}

const kernelOf = (w: Value): readonly number[] => staticShape((w.shape as Shape).slice(2), 'convolution kernel');

/** Cross-correlation: x[N,C,...], w[K,C/groups,...], b[K]? -> [N,K,...]. */
export const conv = (x: Value, w: Value, b?: Value, options: ConvOptions = {}): Value =>
  emit(x.graph, 'Conv', b === undefined ? [x, w] : [x, w, b], {
    ...windowAttrs(kernelOf(w), options),
    group: options.groups ?? 1,
  });

/** Transposed convolution: x[N,C,...], w[C,K/groups,...], b[K]? -> [N,K,...]. */
export function convTranspose(
  x: Value,
  w: Value,
  b?: Value,
  options: ConvOptions & { readonly outputPadding?: number | readonly number[] } = {},
): Value {
  const attrs = windowAttrs(kernelOf(w), options);
  const extra = options.outputPadding ?? 0;
  const output_padding = typeof extra === 'number' ? attrs.kernel_shape.map(() => extra) : extra;
  return emit(x.graph, 'ConvTranspose', b === undefined ? [x, w] : [x, w, b], {
    ...attrs,
    output_padding,
    group: options.groups ?? 1,
  });
}

export interface PoolOptions {
  readonly kernel: number | readonly number[];
  /** The kernel by default. */
  readonly stride?: number | readonly number[];
  readonly padding?: number | readonly number[];
}
function poolAttrs(x: Value, { kernel, stride = kernel, padding = 0 }: PoolOptions) {
  const rank = x.shape.length - 2;
  const { dilations: _, ...attrs } = windowAttrs(
    typeof kernel === 'number' ? Array.from({ length: rank }, () => kernel) : kernel,
    { stride, padding },
  );
  return attrs;
}
export const maxPool = (x: Value, options: PoolOptions): Value => emit(x.graph, 'MaxPool', [x], poolAttrs(x, options));
/** Mean over windows; padding counts as zeros when `countIncludePad` (PyTorch's default). */
export const averagePool = (x: Value, options: PoolOptions & { readonly countIncludePad?: boolean }): Value =>
  emit(x.graph, 'AveragePool', [x], {
    ...poolAttrs(x, options),
    count_include_pad: (options.countIncludePad ?? true) ? 1 : 0,
  });

/** [N,C*r*r,H,W] -> [N,C,H*r,W*r], PyTorch's channel order. */
export const pixelShuffle = (x: Value, factor: number): Value =>
  emit(x.graph, 'DepthToSpace', [x], { blocksize: factor, mode: 'CRD' });

/** Enlarges H and W by a whole factor: 'nearest', or 'linear' with half-pixel centres and clamped edges. */
export function resize(x: Value, factor: number, mode: 'nearest' | 'linear' = 'nearest'): Value {
  const scales = x.graph.constant(
    'float32',
    [x.shape.length],
    Float32Array.from(x.shape, (_, i) => (i < 2 ? 1 : factor)),
  );
  const coordinate = mode === 'nearest' ? 'asymmetric' : 'half_pixel';
  return emit(x.graph, 'Resize', [x, undefined, scales], {
    mode,
    coordinate_transformation_mode: coordinate,
    nearest_mode: 'floor',
  });
}

interface OnnxRecurrentOptions {
  readonly hidden: number;
  /** [1,2*G*H]: input biases, then hidden ones. */
  readonly bias?: Value | undefined;
  /** First states [1,N,H]; zeros when empty. */
  readonly start: readonly Value[];
  /** ReLU instead of tanh, RNN only. */
  readonly relu?: boolean;
}
/** ONNX's recurrent operator in its own order of gates: x[T,N,C], w[1,G*H,C], r[1,G*H,H] -> [T,1,N,H] and last states. */
export function onnxRecurrent(
  op: 'RNN' | 'GRU' | 'LSTM',
  x: Value,
  w: Value,
  r: Value,
  { hidden, bias, start, relu: useRelu = false }: OnnxRecurrentOptions,
): readonly Value[] {
  const inputs = [
    x,
    w,
    r,
    ...(bias || start.length > 0 ? [bias] : []),
    ...(start.length > 0 ? [undefined] : []),
    ...start,
  ];
  if (op === 'LSTM') return emitAll(x.graph, op, inputs, { hidden_size: hidden });
  // 1: the reset gate applies to the hidden product, as in PyTorch.
  if (op === 'GRU') return emitAll(x.graph, op, inputs, { hidden_size: hidden, linear_before_reset: 1 });
  return emitAll(x.graph, op, inputs, { hidden_size: hidden, activations: [useRelu ? 'Relu' : 'Tanh'] });
}

/**
 * `body` once per slice of the sequences [T,...]: states and slices in, states and slices out. -> last states, then [T,...]
 * for each further output of the body. `reverse` runs from the last slice to the first; slices keep their places.
 */
export function scan(
  body: Graph,
  states: readonly Value[],
  sequences: readonly Value[],
  reverse: boolean,
): readonly Value[] {
  const direction = (count: number): readonly number[] => Array.from({ length: count }, () => (reverse ? 1 : 0));
  return emitAll(sequences[0]!.graph, 'Scan', [...states, ...sequences], {
    body,
    num_scan_inputs: sequences.length,
    scan_input_directions: direction(sequences.length),
    scan_output_directions: direction(body.outputs.length - states.length),
  });
}
