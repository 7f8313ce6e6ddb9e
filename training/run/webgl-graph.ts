import { ensure } from '../core/errors.ts';
import {
  type AttributeProto,
  attributeTypes,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../onnx/schema.ts';
import type { Tensors } from './session.ts';
import { StaticShapes, wordOf } from './static-shapes.ts';

const dimsOf = (value: ValueInfoProto) => value.type?.tensorType?.shape?.dim ?? [];

/** bindDims: what each symbolic dimension (`H`, `W`) of the model's inputs is in these feeds. */
export function bindDims(model: ModelProto, feeds: Tensors): Map<string, number> {
  const bound = new Map<string, number>();
  for (const input of model.graph.input) {
    dimsOf(input).forEach(({ dimParam }, axis) => {
      const size = feeds[input.name]?.dims[axis];
      if (dimParam === undefined || dimParam === '' || size === undefined) return;
      const known = bound.get(dimParam) ?? size;
      ensure(
        known === size,
        'bad-shape',
        () => `bindDims: expected ${dimParam} = ${known}, got ${size} in ${input.name}`,
      );
      bound.set(dimParam, size);
    });
  }
  return bound;
}

function fixDims(value: ValueInfoProto, sizes: ReadonlyMap<string, number>): ValueInfoProto {
  const { type } = value;
  if (type?.tensorType?.shape === undefined) return value;
  const dim = dimsOf(value).map((one) => {
    const size = sizes.get(one.dimParam ?? '');
    return size === undefined ? one : { dimValue: size };
  });
  return { ...value, type: { ...type, tensorType: { ...type.tensorType, shape: { dim } } } };
}

/**
 * withStaticDims: the same graph with each symbolic dimension replaced by its size. Shapes of values in between are
 * dropped: they are inferred again. The weights are shared, not copied.
 */
function withStaticDims(model: ModelProto, sizes: ReadonlyMap<string, number>): ModelProto {
  const { graph } = model;
  const fix = (value: ValueInfoProto): ValueInfoProto => fixDims(value, sizes);
  return { ...model, graph: { ...graph, input: graph.input.map(fix), output: graph.output.map(fix), valueInfo: [] } };
}

const indicesOf = (name: string, values: readonly number[]): TensorProto => ({
  name,
  dims: [values.length],
  dataType: int64Code,
  int64Data: [...values],
});

/** ONNX's number for int64. */
const int64Code = 7;

/**
 * resized: the nodes for a nearest `Resize` of which the sizes are known: nothing where they are the input's, a cut for one pixel less
 * (what our decoders do to a map of odd size), else picked rows and columns: i -> floor(i from / to).
 */
function resized(node: NodeProto, shapes: StaticShapes): { node: NodeProto[]; initializer: TensorProto[] } {
  const [data = '', , , sizes = ''] = node.input;
  const words = ['mode', 'coordinate_transformation_mode', 'nearest_mode'].map((name) => wordOf(node, name));
  ensure(
    String(words) === 'nearest,asymmetric,floor',
    'unsupported',
    () => `webgl: expected a nearest Resize, got ${words}`,
  );
  const from = shapes.shape(data);
  const to = shapes.numbers(sizes);
  const [output = ''] = node.output;
  const parts: { node: NodeProto[]; initializer: TensorProto[] } = { node: [], initializer: [] };
  let last = data;
  const add = (opType: string, inputs: readonly TensorProto[], attribute: AttributeProto[], axis: number): void => {
    const name = `${output}/webgl.axis${axis}`;
    parts.node.push({ opType, input: [last, ...inputs.map((one) => one.name ?? '')], output: [name], attribute });
    parts.initializer.push(...inputs);
    last = name;
  };
  for (const axis of [2, 3]) {
    const [old, size] = [from[axis]!, to[axis]!];
    const named = (what: string, values: readonly number[]) => indicesOf(`${output}/webgl.${what}${axis}`, values);
    if (size === old - 1) add('Slice', [named('starts', [0]), named('ends', [size]), named('axes', [axis])], [], axis);
    else if (size !== old) {
      const picked = Array.from({ length: size }, (_, i) => Math.floor((i * old) / size));
      add('Gather', [named('picked', picked)], [{ name: 'axis', type: attributeTypes.int, i: axis }], axis);
    }
  }
  parts.node.push({ opType: 'Identity', input: [last], output: [output], attribute: [] });
  return parts;
}

/** Without nodes and weights that no output needs. */
function withoutUnused(graph: GraphProto): GraphProto {
  const needed = new Set(graph.output.map((value) => value.name));
  const node = graph.node.toReversed().filter((each) => {
    if (!each.output.some((name) => needed.has(name))) return false;
    for (const name of each.input) needed.add(name);
    return true;
  });
  return {
    ...graph,
    node: node.toReversed(),
    initializer: graph.initializer.filter((one) => needed.has(one.name ?? '')),
  };
}

/**
 * withSizes: the same graph of static shapes without the nodes that compute sizes, and without `Resize` to computed sizes: WebGL has neither whole
 * numbers nor a nearest `Resize`.
 */
function withSizes(model: ModelProto): ModelProto {
  const { graph } = model;
  if (!graph.node.some(hasSizes)) return model;
  const shapes = new StaticShapes(graph);
  const initializer = [...graph.initializer];
  const node = graph.node.flatMap((each) => {
    if (!hasSizes(each)) return [each];
    const parts = resized(each, shapes);
    initializer.push(...parts.initializer);
    return parts.node;
  });
  return { ...model, graph: withoutUnused({ ...graph, node, initializer }) };
}

const hasSizes = ({ opType, input }: NodeProto): boolean => opType === 'Resize' && (input[3] ?? '') !== '';

const one: TensorProto = { name: 'webgl.one', dims: [], dataType: 1, floatData: [1] };
const noSlope: AttributeProto = { name: 'alpha', type: attributeTypes.float, f: 0 };

/**
 * Operators whose shaders take it that their input's texture is laid out as its shape states. But a reshaped value (so
 * also the result of DepthToSpace) keeps the texture of its old shape, and they read the wrong pixels.
 */
const trusting = new Set(['Pad', 'Resize', 'Upsample', 'Softmax']);
/**
 * Activations that are fused into a Conv in front of them. But compiled shaders are then shared by the shapes of a Conv
 * alone, so that another Conv of those shapes gets this one's activation, or this one none.
 */
const fused = new Set(['Clip', 'Sigmoid']);

/**
 * withoutFaults: the same graph around two faults of onnxruntime-web 1.30 (above). A multiplication by one writes a
 * texture of the right layout, and keeps a Conv and its activation apart; for Relu, LeakyRelu is free to do that.
 */
function withoutFaults(model: ModelProto): ModelProto {
  const { graph } = model;
  const convolved = new Set(graph.node.filter((node) => node.opType === 'Conv').flatMap((node) => node.output));
  const node = graph.node.flatMap((each): NodeProto[] => {
    const [data = '', ...rest] = each.input;
    if (each.opType === 'Relu') return [{ ...each, opType: 'LeakyRelu', attribute: [noSlope] }];
    if (!trusting.has(each.opType) && !(fused.has(each.opType) && convolved.has(data))) return [each];
    const fresh = `${each.output[0]}/webgl.fresh`;
    const copy = { opType: 'Mul', input: [data, one.name ?? ''], output: [fresh], attribute: [] };
    return [copy, { ...each, input: [fresh, ...rest] }];
  });
  return { ...model, graph: { ...graph, node, initializer: [...graph.initializer, one] } };
}

/** forWebgl: a model as the WebGL backend takes it: static shapes, and around what that backend gets wrong. */
export const forWebgl = (model: ModelProto, sizes: ReadonlyMap<string, number>): ModelProto =>
  withoutFaults(withSizes(withStaticDims(model, sizes)));
