import { ensure } from '../core/errors.ts';
import { addDim, type Dim, divDim, mulDim, sameDim } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import { showValue } from '../onnx/graph.ts';
import { defineOp, need } from './define.ts';

/** Size after sliding a window: floor((size + before + after - (dilation*(kernel-1)+1)) / stride) + 1. */
export function windowedDim(
  size: Dim,
  kernel: number,
  stride: number,
  dilation: number,
  before: number,
  after: number,
  where: string,
): Dim {
  const room = addDim(size, before + after - dilation * (kernel - 1) - 1);
  ensure(
    typeof room !== 'number' || room >= 0,
    'bad-shape',
    () =>
      `${where}: expected a window of at most the padded input, got kernel ${kernel} (dilation ${dilation}) on size ${size}`,
  );
  return addDim(divDim(room, stride, where), 1);
}

interface WindowAttrs {
  readonly kernel_shape: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations?: readonly number[];
}

function windowedDims(x: Value, { kernel_shape, strides, pads, dilations }: WindowAttrs, where: string): Dim[] {
  const rank = kernel_shape.length;
  ensure(
    x.shape.length === rank + 2,
    'bad-shape',
    () => `${where}: expected [N,C] and ${rank} spatial dimensions, got ${showValue(x)}`,
  );
  return kernel_shape.map((kernel, i) =>
    windowedDim(x.shape[i + 2]!, kernel, strides[i]!, dilations?.[i] ?? 1, pads[i]!, pads[rank + i]!, where),
  );
}

const convAttrs = { kernel_shape: 'ints', strides: 'ints', pads: 'ints', dilations: 'ints', group: 'int' } as const;

function checkBias(w: Value, bias: Value | undefined, channels: Dim, where: string): void {
  ensure(bias === undefined || (bias.shape.length === 1 && sameDim(bias.shape[0]!, channels)), 'bad-shape', () => {
    return `${where}: expected one bias per output channel of ${showValue(w)}, got ${bias === undefined ? '' : showValue(bias)}`;
  });
}

/** Operators on [N,C,spatial...]; `pads` are all starts, then all ends. */
export const spatialOps = {
  /** x[N,C,...], w[K,C/group,...], b[K]? -> [N,K,...]. */
  Conv: defineOp(11, convAttrs, (inputs, attrs, where) => {
    const [x, w] = [need(inputs, 0, where), need(inputs, 1, where)];
    ensure(
      w.shape.length === x.shape.length && sameDim(x.shape[1]!, mulDim(w.shape[1]!, attrs.group)),
      'bad-shape',
      () => {
        return `${where}: expected w [K,C/group,...] for x [N,C,...] and group ${attrs.group}, got ${showValue(x)} and ${showValue(w)}`;
      },
    );
    checkBias(w, inputs[2], w.shape[0]!, where);
    return [{ dtype: x.dtype, shape: [x.shape[0]!, w.shape[0]!, ...windowedDims(x, attrs, where)] }];
  }),
  /** x[N,C,...], w[C,K/group,...], b[K]? -> [N,K,...]; the transpose of Conv. */
  ConvTranspose: defineOp(11, { ...convAttrs, output_padding: 'ints' }, (inputs, attrs, where) => {
    const [x, w] = [need(inputs, 0, where), need(inputs, 1, where)];
    ensure(w.shape.length === x.shape.length && sameDim(x.shape[1]!, w.shape[0]!), 'bad-shape', () => {
      return `${where}: expected w [C,K/group,...] for x [N,C,...], got ${showValue(x)} and ${showValue(w)}`;
    });
    const rank = attrs.kernel_shape.length;
    const spatial = attrs.kernel_shape.map((kernel, i) => {
      const grown = mulDim(addDim(x.shape[i + 2]!, -1), attrs.strides[i]!);
      return addDim(
        grown,
        attrs.output_padding[i]! + attrs.dilations[i]! * (kernel - 1) + 1 - attrs.pads[i]! - attrs.pads[rank + i]!,
      );
    });
    const channels = mulDim(w.shape[1]!, attrs.group);
    checkBias(w, inputs[2], channels, where);
    return [{ dtype: x.dtype, shape: [x.shape[0]!, channels, ...spatial] }];
  }),
  MaxPool: defineOp(12, { kernel_shape: 'ints', strides: 'ints', pads: 'ints' }, (inputs, attrs, where) => {
    const x = need(inputs, 0, where);
    return [{ dtype: x.dtype, shape: [x.shape[0]!, x.shape[1]!, ...windowedDims(x, attrs, where)] }];
  }),
  AveragePool: defineOp(
    11,
    { kernel_shape: 'ints', strides: 'ints', pads: 'ints', count_include_pad: 'int' },
    (inputs, attrs, where) => {
      const x = need(inputs, 0, where);
      return [{ dtype: x.dtype, shape: [x.shape[0]!, x.shape[1]!, ...windowedDims(x, attrs, where)] }];
    },
  ),
  /** inputs x, (roi omitted), constant f32 scales [1,1,...] of whole numbers. */
  Resize: defineOp(
    13,
    { mode: 'string', coordinate_transformation_mode: 'string', nearest_mode: 'string' },
    (inputs, _attrs, where) => {
      const [x, scales] = [need(inputs, 0, where), need(inputs, 2, where)];
      const factors = Array.from(scales.constant?.data as Float32Array);
      ensure(
        factors.length === x.shape.length && factors.every((f) => Number.isInteger(f) && f >= 1),
        'bad-argument',
        () => {
          return `${where}: expected one whole scale per axis, got [${factors}] for ${showValue(x)}`;
        },
      );
      return [{ dtype: x.dtype, shape: x.shape.map((dim, i) => mulDim(dim, factors[i]!)) }];
    },
  ),
  /** [N,C*b*b,H,W] -> [N,C,H*b,W*b]; mode CRD is PyTorch's pixel shuffle. */
  DepthToSpace: defineOp(13, { blocksize: 'int', mode: 'string' }, (inputs, { blocksize }, where) => {
    const x = need(inputs, 0, where);
    const channels = x.shape[1];
    ensure(x.shape.length === 4 && typeof channels === 'number' && channels % blocksize ** 2 === 0, 'bad-shape', () => {
      return `${where}: expected [N,C,H,W] with C a multiple of ${blocksize ** 2}, got ${showValue(x)}`;
    });
    const [n, , h, w] = x.shape;
    return [
      {
        dtype: x.dtype,
        shape: [n!, (channels as number) / blocksize ** 2, mulDim(h!, blocksize), mulDim(w!, blocksize)],
      },
    ];
  }),
};
