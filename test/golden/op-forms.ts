import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { type Form, ofX, plain } from './compute.ts';
import type { GoldenCase } from './fixtures.ts';

const bothSides = ([h, w]: readonly number[]): number[] => [h!, w!, h!, w!];

const pool = (attrs: GoldenCase['attrs']): o.PoolOptions => {
  const { k, stride, pad } = attrs as Record<string, number>;
  return { kernel: k!, stride: stride!, padding: pad! };
};

const activations: Readonly<Record<string, (x: Value) => Value>> = {
  relu: o.relu,
  leakyRelu: (x) => o.leakyRelu(x, 0.2),
  sigmoid: o.sigmoid,
  tanh: o.tanh,
  softplus: o.softplus,
};

/** Operators and compositions that the builder alone has. */
const forms: Readonly<Record<string, Form>> = {
  conv2d: plain(({ x, w, b }, attrs) => {
    const { stride, pad, dilation, groups } = attrs as {
      stride: number[];
      pad: number[];
      dilation: number[];
      groups: number;
    };
    return o.conv(x!, w!, b, { stride, padding: bothSides(pad), dilation, groups });
  }),
  maxPool: ofX((x, attrs) => o.maxPool(x, pool(attrs))),
  avgPool: ofX((x, attrs) => o.averagePool(x, { ...pool(attrs), countIncludePad: attrs.countPad === true })),
  globalAvgPool: ofX((x) => o.reduceMean(x, { axes: [2, 3], keepdims: true })),
  pixelShuffle: ofX((x, attrs) => o.pixelShuffle(x, attrs.factor as number)),
  resize: ofX((x, attrs) => o.resize(x, attrs.factor as number, attrs.mode === 'nearest' ? 'nearest' : 'linear')),
  pad: ofX((x, attrs) => {
    const { top, left, bottom, right } = attrs as Record<string, number>;
    return o.pad2d(x, [top!, left!, bottom!, right!], attrs.mode as o.PadMode);
  }),
  blur: ofX((x) => o.averagePool(o.pad2d(x, [1, 1, 0, 0], 'edge'), { kernel: 2, stride: 1 })),
  concat: plain(({ a, b, c }, attrs) => o.concat([a!, b!, c!], attrs.axis as number)),
  slice: ofX((x, attrs) => o.slice(x, attrs as unknown as Parameters<typeof o.slice>[1])),
  matmul: plain(({ a, b }) => o.matmul(a!, b!)),
  linear: plain(({ x, w, b }) => o.gemm(x!, w!, b, { transB: true })),
  softmax: ofX((x, attrs) => o.softmax(x, attrs.axis as number)),
  logSoftmax: ofX((x, attrs) => o.logSoftmax(x, attrs.axis as number)),
};

/** How the builder alone states a case, if it can. */
export const opForm = ({ op, name }: GoldenCase): Form | undefined =>
  op === 'activation' ? activations[name] && ofX(activations[name]) : forms[op];
