import { oneHotRows } from '../../training/grad/indexing.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { OpName } from '../../training/ops/table.ts';
import type { Sample } from './check.ts';

type Build = Sample['build'];
const one = (name: string, build: Build, extra: Partial<Sample> = {}): Sample[] => [
  { name, shapes: [[2, 3, 4]], build, ...extra },
];

/** Binary operators: equal shapes, and shapes that broadcast both ways. */
const two = (build: (a: Value, b: Value) => Value, extra: Partial<Sample> = {}): Sample[] => [
  {
    name: 'equal shapes',
    shapes: [
      [3, 4],
      [3, 4],
    ],
    build: build as Build,
    ...extra,
  },
  {
    name: 'second broadcast',
    shapes: [
      [2, 3, 4],
      [3, 1],
    ],
    build: build as Build,
    ...extra,
  },
  { name: 'first broadcast', shapes: [[4], [2, 3, 4]], build: build as Build, ...extra },
  { name: 'scalar', shapes: [[2, 3], []], build: build as Build, ...extra },
];

/** Constant int32 indices in the graph of `x`. */
const indices = (x: Value, dims: readonly number[], values: readonly number[]): Value =>
  x.graph.constant('int32', dims, Int32Array.from(values));

const conv = (name: string, shapes: Sample['shapes'], options: o.ConvOptions): Sample => ({
  name,
  shapes,
  build: (x, w, b) => o.conv(x!, w!, b, options),
});

/** How each operator's derivative is checked, or 'none' where it has none. A missing row is a compile error. */
export const samples: { readonly [K in OpName]: readonly Sample[] | 'none' } = {
  Identity: one('identity', (x) => o.identity(x!)),
  Neg: one('neg', (x) => o.neg(x!)),
  Abs: one('abs', (x) => o.abs(x!), { away: 0.1 }),
  Sqrt: one('sqrt', (x) => o.sqrt(x!), { range: [0.5, 2] }),
  Exp: one('exp', (x) => o.exp(x!)),
  Log: one('log', (x) => o.log(x!), { range: [0.5, 2] }),
  Reciprocal: one('reciprocal', (x) => o.reciprocal(x!), { range: [0.8, 2] }),
  Floor: 'none',
  Erf: one('erf', (x) => o.erf(x!)),
  Tanh: one('tanh', (x) => o.tanh(x!)),
  Sigmoid: one('sigmoid', (x) => o.sigmoid(x!)),
  Softplus: one('softplus', (x) => o.softplus(x!)),
  Relu: one('relu', (x) => o.relu(x!), { away: 0.1 }),
  LeakyRelu: one('leaky', (x) => o.leakyRelu(x!, 0.2), { away: 0.1 }),
  Not: 'none',
  Add: two(o.add),
  Sub: two(o.sub),
  Mul: two(o.mul),
  Div: two(o.div, { range: [0.8, 2] }),
  Pow: two(o.pow, { range: [0.8, 2] }),
  Max: two((a, b) => o.maximum(a, o.add(b, 1 / 32)), { distinct: true }),
  Min: two((a, b) => o.minimum(a, o.add(b, 1 / 32)), { distinct: true }),
  And: 'none',
  Greater: 'none',
  GreaterOrEqual: 'none',
  Less: 'none',
  LessOrEqual: 'none',
  Equal: 'none',
  Clip: one('clip', (x) => o.clip(o.mul(x!, 2), -20, 1.1), { away: 0.1 }),
  Where: two((a, b) => o.where(o.greater(o.reduceSum(b), 0), a, b)),
  Cast: one('cast', (x) => o.mul(o.cast(x!, 'float32'), x!)),
  ReduceSum: [
    ...one('all', (x) => o.reduceSum(o.mul(x!, x!))),
    ...one('some', (x) => o.reduceSum(o.mul(x!, x!), { axes: [0, -1] })),
    ...one('kept', (x) => o.reduceSum(o.mul(x!, x!), { axes: [1], keepdims: true })),
  ],
  ReduceMean: [
    ...one('all', (x) => o.reduceMean(o.exp(x!))),
    ...one('some', (x) => o.reduceMean(o.exp(x!), { axes: [0, 2], keepdims: true })),
  ],
  ReduceMax: [
    ...one('some', (x) => o.reduceMax(x!, { axes: [1] }), { distinct: true }),
    ...one('kept', (x) => o.reduceMax(x!, { axes: [0, 2], keepdims: true }), { distinct: true }),
  ],
  Softmax: [...one('last', (x) => o.softmax(x!)), ...one('axis 1', (x) => o.softmax(x!, 1))],
  MatMul: [
    {
      name: 'matrices',
      shapes: [
        [3, 4],
        [4, 5],
      ],
      build: (a, b) => o.matmul(a!, b!),
    },
    {
      name: 'batch',
      shapes: [
        [2, 3, 4],
        [2, 4, 5],
      ],
      build: (a, b) => o.matmul(a!, b!),
    },
    {
      name: 'broadcast batch',
      shapes: [
        [2, 3, 4],
        [4, 5],
      ],
      build: (a, b) => o.matmul(a!, b!),
    },
  ],
  Gemm: [
    {
      name: 'one weight used by several products',
      shapes: [
        [2, 3],
        [3, 3],
        [2, 3],
      ],
      build: (x: Value, w: Value, z: Value) => {
        const once = o.tanh(o.gemm(x, w, z, { transB: true }));
        const twice = o.tanh(o.gemm(once, w, undefined, { alpha: 0.5 }));
        return o.add(o.gemm(twice, w, undefined, { transB: true }), o.matmul(twice, w));
      },
    } as Sample,
    ...[false, true].flatMap((transA) =>
      [false, true].map(
        (transB): Sample => ({
          name: `transA ${transA} transB ${transB}`,
          shapes: [transA ? [4, 3] : [3, 4], transB ? [5, 4] : [4, 5], [5]],
          build: (a, b, c) => o.gemm(a!, b!, c, { transA, transB, alpha: 0.7, beta: 1.3 }),
        }),
      ),
    ),
  ],
  Conv: [
    conv('plain with bias', [[2, 3, 6, 5], [4, 3, 3, 3], [4]], { padding: 1 }),
    conv(
      'no padding',
      [
        [2, 2, 6, 5],
        [3, 2, 3, 2],
      ],
      {},
    ),
    conv(
      '1x1',
      [
        [2, 3, 4, 4],
        [5, 3, 1, 1],
      ],
      {},
    ),
    conv(
      'stride 2',
      [
        [2, 3, 8, 7],
        [4, 3, 3, 3],
      ],
      { stride: 2, padding: 1 },
    ),
    conv(
      'stride 2, even kernel',
      [
        [2, 3, 8, 8],
        [4, 3, 4, 4],
      ],
      { stride: 2, padding: 1 },
    ),
    conv(
      'stride 3, uneven',
      [
        [1, 2, 10, 11],
        [3, 2, 3, 2],
      ],
      { stride: [3, 2], padding: [1, 0, 0, 1] },
    ),
    conv(
      '7x7 stride 2',
      [
        [1, 3, 12, 12],
        [4, 3, 7, 7],
      ],
      { stride: 2, padding: 3 },
    ),
    conv(
      'dilation',
      [
        [1, 2, 9, 8],
        [3, 2, 3, 3],
      ],
      { dilation: 2, padding: 2 },
    ),
    conv(
      'groups',
      [
        [2, 4, 5, 5],
        [6, 2, 3, 3],
      ],
      { groups: 2, padding: 1 },
    ),
    conv(
      'depthwise',
      [
        [2, 4, 5, 5],
        [4, 1, 3, 3],
      ],
      { groups: 4, padding: 1 },
    ),
    conv(
      'padding wider than the kernel',
      [
        [1, 2, 4, 4],
        [2, 2, 2, 2],
      ],
      { padding: 2 },
    ),
    conv(
      'one dimension',
      [
        [2, 3, 9],
        [4, 3, 3],
      ],
      { padding: 1, stride: 2 },
    ),
  ],
  ConvTranspose: [
    {
      name: 'stride 2',
      shapes: [[2, 3, 4, 5], [3, 2, 3, 3], [2]],
      build: (x, w, b) => o.convTranspose(x!, w!, b, { stride: 2, padding: 1, outputPadding: 1 }),
    },
    {
      name: 'groups',
      shapes: [
        [1, 4, 4, 4],
        [4, 2, 2, 2],
      ],
      build: (x, w) => o.convTranspose(x!, w!, undefined, { stride: 2, groups: 2 }),
    },
  ],
  MaxPool: [
    { name: '2x2', shapes: [[2, 2, 6, 4]], build: (x) => o.maxPool(x!, { kernel: 2 }), distinct: true },
    {
      name: 'overlapping',
      shapes: [[1, 2, 7, 6]],
      build: (x) => o.maxPool(x!, { kernel: 3, stride: 2, padding: 1 }),
      distinct: true,
    },
  ],
  AveragePool: [
    { name: '2x2', shapes: [[2, 2, 6, 4]], build: (x) => o.averagePool(x!, { kernel: 2 }) },
    { name: 'stride 1', shapes: [[1, 2, 5, 6]], build: (x) => o.averagePool(x!, { kernel: 2, stride: 1 }) },
    {
      name: 'overlapping, padding counted',
      shapes: [[1, 2, 7, 6]],
      build: (x) => o.averagePool(x!, { kernel: 3, stride: 2, padding: 1 }),
    },
    {
      name: 'overlapping, padding not counted',
      shapes: [[1, 2, 7, 6]],
      build: (x) => o.averagePool(x!, { kernel: 3, stride: 2, padding: 1, countIncludePad: false }),
    },
  ],
  Resize: [
    { name: 'nearest', shapes: [[1, 2, 3, 4]], build: (x) => o.resize(x!, 2) },
    { name: 'linear', shapes: [[1, 2, 3, 4]], build: (x) => o.resize(x!, 2, 'linear') },
    { name: 'linear x3', shapes: [[1, 1, 3, 2]], build: (x) => o.resize(x!, 3, 'linear') },
  ],
  DepthToSpace: [{ name: 'pixel shuffle', shapes: [[2, 8, 3, 2]], build: (x) => o.pixelShuffle(x!, 2) }],
  Reshape: one('reshape', (x) => o.reshape(o.mul(x!, x!), [4, -1])),
  Transpose: one('transpose', (x) => o.transpose(o.mul(x!, x!), [2, 0, 1])),
  Concat: [
    {
      name: 'axis 1',
      shapes: [
        [2, 3],
        [2, 1],
        [2, 2],
      ],
      build: (...xs) => o.concat(xs, 1),
    },
  ],
  Slice: [
    ...one('part', (x) => o.slice(x!, { axes: [1, 2], starts: [1, 0], ends: [3, 2] })),
    ...one('steps', (x) => o.slice(x!, { axes: [2], starts: [1], ends: [4], steps: [2] })),
    ...one('backwards', (x) => o.flip(x!, [0, 2])),
  ],
  Pad: [
    ...one('zeros', (x) => o.pad(x!, [0, 1, 2, 1, 0, 0])),
    ...one('crop', (x) => o.pad(x!, [0, -1, 0, 0, 0, -2])),
    ...one('reflect', (x) => o.pad(x!, [0, 2, 3, 0, 1, 2], 'reflect')),
    ...one('edge', (x) => o.pad(x!, [0, 2, 0, 1, 0, 3], 'edge')),
  ],
  Split: [
    ...one('some pieces used', (x) => {
      const [first, , last] = o.split(o.mul(x!, x!), [1, 2, 1], 2);
      return o.mul(first!, last!);
    }),
    {
      name: 'a tree of 70',
      shapes: [[70, 2]],
      build: (x) =>
        o.concat(
          o
            .split(
              x!,
              Array.from({ length: 70 }, () => 1),
              0,
            )
            .map((row, i) => o.mul(row, i / 35)),
          0,
        ),
    },
  ],
  Squeeze: [{ name: 'two axes', shapes: [[1, 3, 1, 2]], build: (x) => o.squeeze(o.mul(x!, x!), [0, 2]) }],
  Unsqueeze: one('two axes', (x) => o.unsqueeze(o.mul(x!, x!), [1, -1])),
  Gather: [
    {
      name: 'rows by one-hot',
      shapes: [[5, 3]],
      build: (x) => o.gather(o.mul(x!, x!), indices(x!, [2, 2], [4, 0, 4, 1])),
    },
    {
      name: 'rows by scatter',
      shapes: [[oneHotRows + 3, 2]],
      build: (x) => o.gather(o.mul(x!, x!), indices(x!, [5], [130, 0, 130, 7, 130])),
    },
    {
      name: 'middle axis',
      shapes: [[2, 3, 4]],
      build: (x) => o.gather(o.mul(x!, x!), indices(x!, [2, 2], [2, 0, 2, 2]), 1),
    },
  ],
  GatherElements: [
    {
      name: 'one of each row',
      shapes: [[3, 4]],
      build: (x) => o.gatherElements(o.mul(x!, x!), indices(x!, [3, 2], [3, 3, 0, 1, 2, 0]), 1),
    },
  ],
  ScatterElements: [
    {
      name: 'adding, an index twice',
      shapes: [
        [3, 2],
        [4, 2],
      ],
      build: (x, y) => o.scatterAdd(o.mul(x!, x!), indices(x!, [4, 2], [2, 1, 2, 1, 0, 0, 2, 2]), o.mul(y!, y!)),
    },
  ],
  RNN: 'none',
  GRU: 'none',
  LSTM: 'none',
  Expand: [{ name: 'expand', shapes: [[3, 1]], build: (x) => o.expand(x!, [2, 3, 4]) }],
  Range: 'none',
  Scan: 'none',
};
