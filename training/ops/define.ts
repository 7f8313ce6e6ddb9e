import { FettleError } from '../core/errors.ts';
import type { Attr, Graph, Value, ValueType } from '../onnx/graph.ts';
import { showValue } from '../onnx/graph.ts';

export type AttrKind = Attr['kind'];
export type AttrSpec = Readonly<Record<string, AttrKind>>;
interface AttrTypes {
  int: number;
  float: number;
  string: string;
  ints: readonly number[];
  floats: readonly number[];
  strings: readonly string[];
  graph: Graph;
}
export type AttrsOf<A extends AttrSpec> = { readonly [K in keyof A]: AttrTypes[A[K]] };

/** One row of the operator table: an ONNX operator in the form fettle emits it. */
export interface OpDef<A extends AttrSpec = AttrSpec> {
  /** The default-domain opset whose definition of the operator we follow. */
  readonly since: number;
  readonly attrs: A;
  /** Types of the outputs. Optional inputs that are omitted are `undefined`. Throws `bad-shape`, `bad-dtype`, `bad-argument`. */
  readonly infer: (inputs: readonly (Value | undefined)[], attrs: AttrsOf<A>, where: string) => readonly ValueType[];
}

export const defineOp = <const A extends AttrSpec>(since: number, attrs: A, infer: OpDef<A>['infer']): OpDef<A> => ({
  since,
  attrs,
  infer,
});

/** Appends operator `op` by its row: checks and infers first, so that an error points at the caller's line. */
export function emitOp<A extends AttrSpec>(
  graph: Graph,
  op: string,
  def: OpDef<A>,
  inputs: readonly (Value | undefined)[],
  attrs: AttrsOf<A>,
): readonly Value[] {
  const tagged = Object.fromEntries(
    Object.entries(def.attrs).map(([key, kind]) => [key, { kind, value: attrs[key] } as Attr]),
  );
  return graph.addNode(op, inputs, def.infer(inputs, attrs, op), tagged);
}

/** The required input at `index`. */
export function need(inputs: readonly (Value | undefined)[], index: number, where: string): Value {
  const value = inputs[index];
  if (value === undefined)
    throw new FettleError('bad-argument', `${where}: expected an input at position ${index}, got none`);
  return value;
}

/** The elements of a constant int64 input (axes, shape, pads); throws `unsupported` when it is computed. */
export function constantInts(inputs: readonly (Value | undefined)[], index: number, where: string): readonly number[] {
  const value = need(inputs, index, where);
  if (value.constant?.dtype !== 'int64')
    throw new FettleError(
      'unsupported',
      `${where}: expected a constant int64 input at position ${index}, got ${showValue(value)}`,
    );
  return Array.from(value.constant.data as BigInt64Array, Number);
}

export function needSameDtype(a: Value, b: Value, where: string): void {
  if (a.dtype !== b.dtype)
    throw new FettleError(
      'bad-dtype',
      `${where}: expected inputs of one dtype, got ${showValue(a)} and ${showValue(b)}; cast one of them`,
    );
}

export function needRank(value: Value, rank: number, where: string): void {
  if (value.shape.length !== rank)
    throw new FettleError('bad-shape', `${where}: expected rank ${rank}, got ${showValue(value)}`);
}
