import type { Node, Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { type ConvGeometry, dimsOf, reversedFilter, spatialAxes } from '../ops/conv-parts.ts';
import { intAttr, intsAttr } from './define.ts';

export const convGeometry = (node: Node): ConvGeometry => ({
  kernel: intsAttr(node, 'kernel_shape'),
  strides: intsAttr(node, 'strides'),
  dilations: intsAttr(node, 'dilations'),
  pads: intsAttr(node, 'pads'),
  groups: intAttr(node, 'group'),
});

/** dy[N,K,...] with `strides[i] - 1` zeros between neighbours of each spatial axis: [N,K,(size - 1) * stride + 1,...]. */
function spread(dy: Value, strides: readonly number[]): Value {
  const [n, k, ...sizes] = dimsOf(dy);
  const apart = o.reshape(dy, [n! * k!, ...sizes.flatMap((size) => [size, 1])]);
  const zeros = strides.flatMap((stride) => [0, stride - 1]);
  const padded = o.pad(apart, [0, ...zeros.map(() => 0), 0, ...zeros]);
  const wide = o.reshape(padded, [n!, k!, ...sizes.map((size, i) => size * strides[i]!)]);
  const ends = sizes.map((size, i) => (size - 1) * strides[i]! + 1);
  return o.slice(wide, { axes: spatialAxes(sizes.length), starts: sizes.map(() => 0), ends });
}

/**
 * Gradient of a convolution with respect to x[N,C,...]. Stride 1 runs as a forward `Conv` with the reversed filter,
 * three to four times as fast as `ConvTranspose` on the CPU provider; other strides take `ConvTranspose`, but for
 * groups of one channel with several filters, of which ONNX Runtime 1.30 makes something else on WebGPU.
 */
export function convInputGrad(dy: Value, x: Value, w: Value, geometry: ConvGeometry): Value {
  const { kernel, strides, dilations, pads, groups } = geometry;
  const rank = kernel.length;
  const reach = kernel.map((size, i) => dilations[i]! * (size - 1));
  const opposite = pads.map((amount, i) => reach[i % rank]! - amount);
  if (strides.every((stride) => stride === 1) && opposite.every((amount) => amount >= 0)) {
    return o.conv(dy, reversedFilter(w, groups), undefined, { padding: opposite, dilation: dilations, groups });
  }
  const [ySize, xSize] = [dimsOf(dy).slice(2), dimsOf(x).slice(2)];
  const outputPadding = xSize.map(
    (size, i) => size - ((ySize[i]! - 1) * strides[i]! + reach[i]! + 1 - pads[i]! - pads[rank + i]!),
  );
  const [filters, perGroup] = dimsOf(w);
  if (groups > 1 && perGroup === 1 && filters! > groups && opposite.every((amount) => amount >= 0)) {
    const padding = opposite.map((amount, i) => (i < rank ? amount : amount + outputPadding[i - rank]!));
    return o.conv(spread(dy, strides), reversedFilter(w, groups), undefined, { padding, dilation: dilations, groups });
  }
  return o.convTranspose(dy, w, undefined, {
    stride: strides,
    padding: pads,
    dilation: dilations,
    groups,
    outputPadding,
  });
}

/** Sum over batch and positions: the gradient of a bias per channel. */
export const channelSum = (dy: Value): Value =>
  o.reduceSum(dy, { axes: dy.shape.flatMap((_, i) => (i === 1 ? [] : [i])) });
