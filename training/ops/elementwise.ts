import { dtypeOfCode } from '../core/dtype.ts';
import { broadcastShapes } from '../core/shape.ts';
import type { ValueType } from '../onnx/graph.ts';
import { defineOp, need, needSameDtype, type OpDef } from './define.ts';

const unary = defineOp(13, {}, (inputs, _attrs, where): ValueType[] => {
  const { dtype, shape } = need(inputs, 0, where);
  return [{ dtype, shape }];
});

const binaryTypes: OpDef<Record<string, never>>['infer'] = (inputs, _attrs, where) => {
  const [a, b] = [need(inputs, 0, where), need(inputs, 1, where)];
  needSameDtype(a, b, where);
  return [{ dtype: a.dtype, shape: broadcastShapes(a.shape, b.shape, where) }];
};
const binary = defineOp(14, {}, binaryTypes);
const compare = defineOp(13, {}, (inputs, attrs, where) =>
  binaryTypes(inputs, attrs, where).map(({ shape }) => ({ dtype: 'bool', shape })),
);

/** Elementwise operators; binary ones broadcast as NumPy does. */
export const elementwiseOps = {
  Identity: unary,
  Neg: unary,
  Abs: unary,
  Sqrt: unary,
  Exp: unary,
  Log: unary,
  Reciprocal: unary,
  Floor: unary,
  Erf: unary,
  Tanh: unary,
  Sigmoid: unary,
  Softplus: unary,
  Relu: unary,
  LeakyRelu: defineOp(16, { alpha: 'float' }, (inputs, _attrs, where) => unary.infer(inputs, {}, where)),
  Not: unary,
  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: binary,
  Pow: binary,
  Max: binary,
  Min: binary,
  And: binary,
  Greater: compare,
  GreaterOrEqual: compare,
  Less: compare,
  LessOrEqual: compare,
  Equal: compare,
  /** inputs x, min, max (scalars). */
  Clip: unary,
  /** inputs condition bool, a, b. */
  Where: defineOp(16, {}, (inputs, _attrs, where) => {
    const [condition, a, b] = [need(inputs, 0, where), need(inputs, 1, where), need(inputs, 2, where)];
    needSameDtype(a, b, where);
    return [
      { dtype: a.dtype, shape: broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, where), where) },
    ];
  }),
  Cast: defineOp(13, { to: 'int' }, (inputs, { to }, where) => [
    { dtype: dtypeOfCode(to), shape: need(inputs, 0, where).shape },
  ]),
};
