import { ensure } from '../core/errors.ts';
import type { ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../onnx/schema.ts';
import type { Tensors } from './session.ts';

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

/** Operators whose WebGL shaders take it that their input's texture is laid out as its shape says. */
const trusting = new Set(['Pad', 'Resize', 'Upsample', 'Softmax']);
const one: TensorProto = { name: 'webgl.one', dims: [], dataType: 1, floatData: [1] };

/**
 * withFreshTextures: in WebGL a reshaped value (so also the result of DepthToSpace and of a 1x1 Conv) keeps the texture
 * of its old shape, and {@link trusting} operators then read the wrong pixels (seen in onnxruntime-web 1.30). A
 * multiplication by one in front of them writes a texture of the right layout.
 */
function withFreshTextures(model: ModelProto): ModelProto {
  const { graph } = model;
  const node = graph.node.flatMap((each): NodeProto[] => {
    const [data, ...rest] = each.input;
    if (!trusting.has(each.opType) || data === undefined) return [each];
    const fresh = `${each.output[0]}/webgl.fresh`;
    const copy = { opType: 'Mul', input: [data, one.name ?? ''], output: [fresh], attribute: [] };
    return [copy, { ...each, input: [fresh, ...rest] }];
  });
  return { ...model, graph: { ...graph, node, initializer: [...graph.initializer, one] } };
}

/** forWebgl: a model as the WebGL backend takes it: static shapes, and around what that backend gets wrong. */
export const forWebgl = (model: ModelProto, sizes: ReadonlyMap<string, number>): ModelProto =>
  withFreshTextures(withStaticDims(model, sizes));
