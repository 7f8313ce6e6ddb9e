import { ensure } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import type { Graph, Node, Region, Value } from '../onnx/graph.ts';
import { showValue } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { isOpName } from '../ops/table.ts';
import type { Contribution, Product } from './define.ts';
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
      for (const output of node.outputs) if (!graph.detached.has(output)) reached.add(output);
  }
  return reached;
}

function applyRule(
  node: Node,
  dys: readonly (Value | undefined)[],
  reached: ReadonlySet<Value>,
): readonly (Contribution | undefined)[] {
  const rule = isOpName(node.op) && node.domain === '' ? gradRules[node.op] : 'none';
  const dy = dys.find((one) => one !== undefined);
  if (rule === 'none' || dy === undefined) return [];
  const needs = node.inputs.map((input) => input !== undefined && reached.has(input));
  return rule(dy, { node, inputs: node.inputs as readonly Value[], output: node.outputs[0]!, dys, needs });
}

/** What one step of the way back needs to know: a node, or a region as a whole. */
interface Step {
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly gradients: (dys: readonly (Value | undefined)[]) => readonly (Contribution | undefined)[];
}

const nodeStep = (node: Node, reached: ReadonlySet<Value>): Step => ({
  ...node,
  gradients: (dys) => applyRule(node, dys, reached),
});

const regionStep = ({ inputs, outputs, gradient }: Region, name: string, reached: ReadonlySet<Value>): Step => {
  const needs = inputs.map((input) => reached.has(input));
  const gradients: Step['gradients'] = (dys) => (dys.every((dy) => dy === undefined) ? [] : gradient(dys, needs));
  return { name, inputs, outputs, gradients };
};

/** The nodes in order, those of a region as one step. */
function stepsOf(graph: Graph, reached: ReadonlySet<Value>): Step[] {
  const at = new Map(graph.regions.map((region) => [region.first, region]));
  const steps: Step[] = [];
  for (let i = 0; i < graph.nodes.length; ) {
    const region = at.get(i);
    const node = graph.nodes[i]!;
    steps.push(region === undefined ? nodeStep(node, reached) : regionStep(region, node.name, reached));
    i = region?.end ?? i + 1;
  }
  return steps;
}

/** The products multiplied out, those of one alpha by a single Gemm over all their rows. */
function multiplied(products: readonly Product[]): Value[] {
  return [...new Set(products.map(({ alpha }) => alpha))].map((alpha) => {
    const alike = products.filter((product) => product.alpha === alpha);
    const joined = (side: 'left' | 'right'): Value =>
      o.concat(
        alike.map((product) => product[side]),
        0,
      );
    return o.gemm(joined('left'), joined('right'), undefined, { alpha, transA: true });
  });
}

/** The gradients that have reached each value so far. */
class Pending {
  private readonly sums = new Map<Value, Value>();
  private readonly products = new Map<Value, Product[]>();

  /** Adds one contribution to the gradient of `value`. */
  add(value: Value, grad: Contribution): void {
    if ('left' in grad) {
      this.products.set(value, [...(this.products.get(value) ?? []), grad]);
      return;
    }
    const known = this.sums.get(value);
    const own = unbroadcast(grad, value);
    this.sums.set(value, known === undefined ? own : o.add(known, own));
  }

  /** The whole gradient of `value`, or undefined when none has come. */
  total(value: Value): Value | undefined {
    const products = this.products.get(value);
    if (products !== undefined) {
      this.products.delete(value);
      for (const product of multiplied(products)) this.add(value, product);
    }
    return this.sums.get(value);
  }
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
  const grads = new Pending();
  grads.add(loss, graph.constant('float32', loss.shape as readonly number[], Float32Array.of(1)));
  const spread = (step: Step): void => {
    const dys = step.outputs.map((output) => grads.total(output));
    step.gradients(dys).forEach((grad, i) => {
      const input = step.inputs[i];
      if (grad !== undefined && input !== undefined && reached.has(input)) grads.add(input, grad);
    });
  };
  for (const step of stepsOf(graph, reached).reverse()) graph.within(`grad/${step.name}`, () => spread(step));
  return graph.within(
    'grad',
    () => new Map(wrt.map((value) => [value, grads.total(value) ?? zerosLike(graph, value)])),
  );
}

function zerosLike(graph: Graph, value: Value): Value {
  ensure(
    value.shape.every((dim) => typeof dim === 'number'),
    'bad-shape',
    () => `backward: expected a fixed shape, got ${showShape(value.shape)}`,
  );
  return o.expand(graph.scalar(0), value.shape as readonly number[]);
}
