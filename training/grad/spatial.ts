import { staticShape } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { spatialOps } from '../ops/spatial.ts';
import { channelSum, convGeometry, convInputGrad } from './conv.ts';
import { convFilterGrad } from './conv-filter.ts';
import { type GradTable, intAttr, stringAttr } from './define.ts';
import { placeOnAxis } from './layout.ts';
import { maxPoolGrad, type PoolGeometry, poolGeometry } from './max-pool.ts';

const dimsOf = (value: Value): readonly number[] => staticShape(value.shape, 'pooling gradient');

/** How many elements each window averages, [1,1,...out]; padding counts when `includePad`. */
function windowCounts(
  x: Value,
  out: readonly number[],
  { kernel, strides, pads }: PoolGeometry,
  includePad: boolean,
): Value {
  const size = dimsOf(x).slice(2);
  const along = out.map((length, i) =>
    Array.from({ length }, (_, at) => {
      const start = at * strides[i]! - pads[i]!;
      return includePad ? kernel[i]! : Math.min(start + kernel[i]!, size[i]!) - Math.max(start, 0);
    }),
  );
  const counts = along.reduce<number[]>((all, axis) => all.flatMap((value) => axis.map((count) => value * count)), [1]);
  return x.graph.constant(
    'float32',
    [1, 1, ...out],
    Float32Array.from(counts, (count) => 1 / count),
  );
}

/** Spreads each window's dy / count evenly: a full correlation of the spaced-out dy with a box. */
function averagePoolGrad(dy: Value, x: Value, geometry: PoolGeometry, includePad: boolean): Value {
  const { kernel, strides, pads } = geometry;
  const out = dimsOf(dy).slice(2);
  const size = dimsOf(x).slice(2);
  const scaled = o.mul(dy, windowCounts(x, out, geometry, includePad));
  // Position p of padded x lies in the windows that start at p-kernel+1 .. p.
  const spaced = kernel.reduce((value, extent, i) => {
    const span = pads[i]! + size[i]! + extent - 1;
    return placeOnAxis(value, i + 2, Math.max(span, extent - 1 + out[i]! * strides[i]!), extent - 1, strides[i]!);
  }, scaled);
  const box = o.mul(
    o.averagePool(spaced, { kernel, stride: 1 }),
    kernel.reduce((a, b) => a * b, 1),
  );
  return o.slice(box, {
    axes: kernel.map((_, i) => i + 2),
    starts: pads.slice(0, kernel.length),
    ends: size.map((length, i) => pads[i]! + length),
  });
}

/** Row i holds the weights of the input elements that make output element i of a linear resize with half-pixel centres. */
function linearWeights(size: number, factor: number): Float32Array {
  const weights = new Float32Array(size * factor * size);
  for (let i = 0; i < size * factor; i++) {
    const at = Math.min(Math.max((i + 0.5) / factor - 0.5, 0), size - 1);
    const low = Math.floor(at);
    const high = Math.min(low + 1, size - 1);
    weights[i * size + low]! += 1 - (at - low);
    weights[i * size + high]! += at - low;
  }
  return weights;
}

function linearResizeGrad(dy: Value, x: Value): Value {
  const [, , h, w] = dimsOf(x);
  const [, , outH, outW] = dimsOf(dy);
  const rows = x.graph.constant('float32', [outH!, h!], linearWeights(h!, outH! / h!));
  const columns = x.graph.constant('float32', [outW!, w!], linearWeights(w!, outW! / w!));
  return o.matmul(o.transpose(rows, [1, 0]), o.matmul(dy, columns));
}

/** Sum over each factor x factor block. */
function nearestResizeGrad(dy: Value, x: Value): Value {
  const factor = dimsOf(dy).at(-1)! / dimsOf(x).at(-1)!;
  return o.mul(o.averagePool(dy, { kernel: factor }), factor ** (x.shape.length - 2));
}

function depthToSpaceGrad(dy: Value, x: Value, block: number, mode: string): Value {
  const [n, c, h, w] = dimsOf(x);
  const depth = c! / block ** 2;
  const split = o.reshape(dy, [n!, depth, h!, block, w!, block]);
  return o.reshape(o.transpose(split, mode === 'CRD' ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]), [n!, c!, h!, w!]);
}

export const spatialGrads: GradTable<keyof typeof spatialOps> = {
  Conv: (dy, { node, inputs: [x, w, b], needs }) => {
    const geometry = convGeometry(node);
    return [
      needs[0] ? convInputGrad(dy, x!, w!, geometry) : undefined,
      needs[1] ? convFilterGrad(dy, x!, geometry) : undefined,
      ...(b === undefined ? [] : [needs[2] ? channelSum(dy) : undefined]),
    ];
  },
  // The transpose of Conv: x and dy change places.
  ConvTranspose: (dy, { node, inputs: [x, w, b], needs }) => {
    const geometry = convGeometry(node);
    const { strides: stride, pads: padding, dilations: dilation, groups } = geometry;
    return [
      needs[0] ? o.conv(dy, w!, undefined, { stride, padding, dilation, groups }) : undefined,
      needs[1] ? convFilterGrad(x!, dy, geometry) : undefined,
      ...(b === undefined ? [] : [needs[2] ? channelSum(dy) : undefined]),
    ];
  },
  MaxPool: (dy, { node, inputs: [x], output }) => [maxPoolGrad(dy, x!, output, poolGeometry(node))],
  AveragePool: (dy, { node, inputs: [x] }) => [
    averagePoolGrad(dy, x!, poolGeometry(node), intAttr(node, 'count_include_pad') === 1),
  ],
  Resize: (dy, { node, inputs: [x] }) => [
    stringAttr(node, 'mode') === 'nearest' ? nearestResizeGrad(dy, x!) : linearResizeGrad(dy, x!),
    undefined,
    undefined,
  ],
  DepthToSpace: (dy, { node, inputs: [x] }) => [
    depthToSpaceGrad(dy, x!, intAttr(node, 'blocksize'), stringAttr(node, 'mode')),
  ],
};
