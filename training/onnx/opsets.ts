import { ensure } from '../core/errors.ts';
import type { Graph, Node } from './graph.ts';

/*
 * The opset number of a file states how a runtime reads its nodes; it does not rewrite them. A graph may therefore carry only the numbers
 * under which its nodes, as they are written, mean what we mean. Source: ONNX's Changelog.md, the versions of each operator.
 */

export const defaultOpset = 18;
/** The newest: later ones move pools off WebGPU, and ONNX Runtime 1.19.2, the last with training, has no operators for them. */
export const newestOpset = 21;
/** The oldest that is asked for: onnxruntime-web's WebGL backend has no newer one. */
const oldestOfAll = 12;

const firstOpsets: Readonly<Record<string, number>> = {
  // Axes as an input; ReduceSum has had them for longer.
  ReduceMean: 18,
  ReduceMax: 18,
  ReduceSum: 13,
  Squeeze: 13,
  Unsqueeze: 13,
  // The sizes as an input.
  Split: 13,
  // Before, all axes from `axis` on were one.
  Softmax: 13,
  // `roi` omitted.
  Resize: 13,
};

/** The first opset under which a node of ONNX's own domain means what we mean. */
function firstOpset({ op, attrs }: Node): number {
  if (op === 'Reshape' && attrs.allowzero !== undefined) return 14;
  if (op === 'ScatterElements' && attrs.reduction !== undefined) return 16;
  return firstOpsets[op] ?? oldestOfAll;
}

/** The node that needs the newest opset, those in bodies of loops included, and that opset. */
function newestForm(graph: Graph): { readonly opset: number; readonly op?: string } {
  const bodies = (node: Node): Graph[] =>
    Object.values(node.attrs).flatMap((attr) => (attr.kind === 'graph' ? [attr.value] : []));
  const forms = graph.nodes.flatMap((node) => [
    ...(node.domain === '' ? [{ opset: firstOpset(node), op: node.op }] : []),
    ...bodies(node).map(newestForm),
  ]);
  return forms.reduce((a, b) => (b.opset > a.opset ? b : a), { opset: oldestOfAll });
}

/** oldestOpset(graph): the first opset, 12 to 18, that a file of `graph` may have. */
export const oldestOpset = (graph: Graph): number => newestForm(graph).opset;

/** needOpset: throws `bad-argument` unless `opset` is a whole number in `oldest`..21; `reason` states why not an older one. */
export function needOpset(where: string, opset: number, oldest: number, reason: string): void {
  ensure(Number.isInteger(opset) && opset >= oldest && opset <= newestOpset, 'bad-argument', () => {
    return `${where}: expected an opset in ${oldest}..${newestOpset}, got ${opset}; ${reason}`;
  });
}

/** Throws `bad-argument` unless the nodes of `graph` may be read by `opset`. */
export function needOpsetOf(graph: Graph, opset: number): void {
  const { opset: oldest, op } = newestForm(graph);
  const reason = op === undefined ? `${defaultOpset} suits most` : `${op} is written as opset ${oldest} has it`;
  needOpset(`export of ${graph.name}`, opset, oldest, reason);
}
