import { ensure } from '../core/errors.ts';
import type { Attr, Node, Value } from '../onnx/graph.ts';
import type { OpName } from '../ops/table.ts';

/** What a rule sees of the node whose derivative it writes down. */
export interface GradContext {
  readonly node: Node;
  readonly inputs: readonly Value[];
  readonly output: Value;
  /** The gradients of all outputs; `undefined` where nothing downstream used one. */
  readonly dys: readonly (Value | undefined)[];
  /** needs[i]: is the gradient of input i wanted at all? */
  readonly needs: readonly boolean[];
}

/**
 * The gradient alpha * leftᵀ right of a matrix, left[M,K] and right[M,N], not yet multiplied. `backward` joins the products
 * that reach one value along M and multiplies once: the weight of an unrolled recurrent layer costs one Gemm, not one
 * Gemm and one addition per time step.
 */
export interface Product {
  readonly left: Value;
  readonly right: Value;
  readonly alpha: number;
}

/** A gradient as a rule hands it over. */
export type Contribution = Value | Product;

/**
 * dy (the gradient of the node's output) -> one gradient per input, in the node's input order; `undefined` where there
 * is none or none is needed. Rules neither un-broadcast nor accumulate: `backward` does both, once.
 */
export type GradRule = (dy: Value, context: GradContext) => readonly (Contribution | undefined)[];

/** A rule for each operator, or 'none' for those without a derivative (integer, boolean, piecewise constant). */
export type GradTable<K extends OpName = OpName> = { readonly [P in K]: GradRule | 'none' };

function attrOf(node: Node, name: string, kind: Attr['kind']): Attr['value'] {
  const attr = node.attrs[name];
  ensure(
    attr?.kind === kind,
    'internal',
    () => `${node.op}: expected a ${kind} attribute '${name}', got ${attr?.kind ?? 'none'}`,
  );
  return attr.value;
}
export const intAttr = (node: Node, name: string): number => attrOf(node, name, 'int') as number;
export const floatAttr = (node: Node, name: string): number => attrOf(node, name, 'float') as number;
export const intsAttr = (node: Node, name: string): readonly number[] =>
  attrOf(node, name, 'ints') as readonly number[];
export const stringAttr = (node: Node, name: string): string => attrOf(node, name, 'string') as string;

/** The numbers of a constant int64 input. */
export const intsOf = (value: Value): readonly number[] => Array.from(value.constant?.data as BigInt64Array, Number);
