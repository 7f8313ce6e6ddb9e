import { staticShape } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { reduceOps } from '../ops/reduce.ts';
import { type GradContext, type GradTable, intAttr, intsOf } from './define.ts';

/** dy with the reduced axes put back as 1. */
function keptDims(value: Value, { inputs: [x, axes] }: GradContext): Value {
  const gone = new Set(intsOf(axes!));
  return o.reshape(
    value,
    staticShape(x!.shape, 'reduction gradient').map((dim, i) => (gone.has(i) ? 1 : dim)),
  );
}

const spread = (value: Value, context: GradContext): Value => {
  const shape = staticShape(context.inputs[0]!.shape, 'reduction gradient');
  return o.expand(keptDims(value, context), shape);
};

export const reduceGrads: GradTable<keyof typeof reduceOps> = {
  ReduceSum: (dy, context) => [spread(dy, context), undefined],
  ReduceMean: (dy, context) => {
    const shape = staticShape(context.inputs[0]!.shape, 'reduction gradient');
    const count = intsOf(context.inputs[1]!).reduce((product, axis) => product * shape[axis]!, 1);
    return [spread(o.mul(dy, 1 / count), context), undefined];
  },
  // Every element that equals the maximum gets an equal share.
  ReduceMax: (dy, context) => {
    const x = context.inputs[0]!;
    const axes = intsOf(context.inputs[1]!);
    const mask = o.cast(o.equal(x, keptDims(context.output, context)), 'float32');
    const share = o.div(keptDims(dy, context), o.reduceSum(mask, { axes, keepdims: true }));
    return [o.mul(mask, share), undefined];
  },
  // dx = y (dy - sum(dy y))
  Softmax: (dy, { node, output }) => {
    const weighted = o.mul(dy, output);
    return [o.sub(weighted, o.mul(output, o.reduceSum(weighted, { axes: [intAttr(node, 'axis')], keepdims: true })))];
  },
};
