import { ensure } from '../core/errors.ts';
import type { ModelProto, ValueInfoProto } from '../onnx/schema.ts';
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
 * withStaticDims: the same graph with each symbolic dimension replaced by its size, for runtimes that cannot do
 * without (WebGL). Shapes of values in between are dropped: they are inferred again. The weights are shared, not copied.
 */
export function withStaticDims(model: ModelProto, sizes: ReadonlyMap<string, number>): ModelProto {
  const { graph } = model;
  const fix = (value: ValueInfoProto): ValueInfoProto => fixDims(value, sizes);
  return { ...model, graph: { ...graph, input: graph.input.map(fix), output: graph.output.map(fix), valueInfo: [] } };
}
