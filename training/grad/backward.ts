import { ensure } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import type { Graph, Node, Value } from '../onnx/graph.ts';
import { showValue } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { isOpName } from '../ops/table.ts';
import { gradRules } from './table.ts';

/** `dy` summed over the axes along which `like` was broadcast. */
function unbroadcast(dy: Value, like: Value): Value {
  if (sameShape(dy.shape, like.shape)) return dy;
  const lead = dy.shape.length - like.shape.length;
  const axes = dy.shape.map((_, i) => i).filter((i) => i < lead || (like.shape[i - lead] === 1 && dy.shape[i] !== 1));
  const summed = o.reduceSum(dy, { axes, keepdims: true });
  return o.reshape(summed, like.shape as readonly number[]);
}

/** Values that depend on one of `sources`, the sources themselves included. */
function dependents(graph: Graph, sources: readonly Value[]): Set<Value> {
  const reached = new Set<Value>(sources);
  for (const node of graph.nodes) {
    if (node.inputs.some((input) => input !== undefined && reached.has(input)))
      for (const output of node.outputs) reached.add(output);
  }
  return reached;
}

function applyRule(node: Node, dy: Value, reached: ReadonlySet<Value>): readonly (Value | undefined)[] {
  const rule = isOpName(node.op) && node.domain === '' ? gradRules[node.op] : 'none';
  if (rule === 'none') return [];
  const needs = node.inputs.map((input) => input !== undefined && reached.has(input));
  return rule(dy, { node, inputs: node.inputs as readonly Value[], output: node.outputs[0]!, needs });
}

/**
 * Appends the gradient of `loss` (one f32 element) with respect to each of `wrt` (f32 graph values): a map from value to
 * its gradient, of the same shape. A value that the loss does not depend on gets a constant of zeros.
 */
export function backward(loss: Value, wrt: readonly Value[]): Map<Value, Value> {
  const { graph } = loss;
  ensure(
    loss.dtype === 'float32' && loss.shape.every((dim) => dim === 1),
    'bad-shape',
    () => `backward: expected a loss of one f32 element, got ${showValue(loss)}; reduce it first`,
  );
  const reached = dependents(graph, wrt);
  const grads = new Map<Value, Value>();
  const accumulate = (value: Value, grad: Value): void => {
    const known = grads.get(value);
    grads.set(value, known === undefined ? grad : o.add(known, grad));
  };
  accumulate(loss, graph.constant('float32', loss.shape as readonly number[], Float32Array.of(1)));
  for (const node of [...graph.nodes].reverse()) {
    const dy = grads.get(node.outputs[0]!);
    if (dy === undefined) continue;
    graph.within(`grad/${node.name}`, () => {
      applyRule(node, dy, reached).forEach((grad, i) => {
        const input = node.inputs[i];
        if (grad !== undefined && input !== undefined && reached.has(input))
          accumulate(input, unbroadcast(grad, input));
      });
    });
  }
  return new Map(wrt.map((value) => [value, grads.get(value) ?? zerosLike(graph, value)]));
}

function zerosLike(graph: Graph, value: Value): Value {
  ensure(
    value.shape.every((dim) => typeof dim === 'number'),
    'bad-shape',
    () => `backward: expected a fixed shape, got ${showShape(value.shape)}`,
  );
  return o.expand(graph.scalar(0), value.shape as readonly number[]);
}
