import type { Graph, Value } from '../onnx/graph.ts';
import { type AttrsOf, emitOp, type OpDef } from './define.ts';
import { elementwiseOps } from './elementwise.ts';
import { indexingOps } from './indexing.ts';
import { layoutOps } from './layout.ts';
import { linalgOps } from './linalg.ts';
import { recurrentOps } from './recurrent.ts';
import { reduceOps } from './reduce.ts';
import { spatialOps } from './spatial.ts';

/** Every operator that fettle emits. A row here needs one in `gradRules`; the compiler states so. */
export const opTable = {
  ...elementwiseOps,
  ...reduceOps,
  ...linalgOps,
  ...spatialOps,
  ...layoutOps,
  ...indexingOps,
  ...recurrentOps,
};

export type OpName = keyof typeof opTable;
export type AttrsFor<K extends OpName> = (typeof opTable)[K] extends OpDef<infer A> ? AttrsOf<A> : never;

/** True for operators of {@link opTable}. */
export const isOpName = (op: string): op is OpName => op in opTable;

/** Appends `op` to `graph` and returns its outputs; inputs and attributes are checked by its row. */
export function emitAll<K extends OpName>(
  graph: Graph,
  op: K,
  inputs: readonly (Value | undefined)[],
  attrs: AttrsFor<K>,
): readonly Value[] {
  return emitOp(graph, op, opTable[op] as unknown as OpDef, inputs, attrs as AttrsOf<OpDef['attrs']>);
}

/** {@link emitAll} for an operator of which only the first output is wanted. */
export const emit = <K extends OpName>(
  graph: Graph,
  op: K,
  inputs: readonly (Value | undefined)[],
  attrs: AttrsFor<K>,
): Value => emitAll(graph, op, inputs, attrs)[0]!;
