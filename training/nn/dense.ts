import { knownKeys, namesOf } from '../core/known-keys.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { channelsOf } from './common.ts';
import { conv2d } from './conv.ts';
import { dropout } from './dropout.ts';
import type { Init } from './init.ts';
import { batchNorm } from './norm.ts';
import type { Scope } from './scope.ts';

export interface DenseBlockOptions {
  readonly layers: number;
  /** Channels that every layer adds: DenseNet's k. */
  readonly growth: number;
  /** A 1x1 convolution to this many times `growth` channels before each 3x3 one (DenseNet-B, 4 there); none by default. */
  readonly bottleneck?: number;
  readonly dropout?: number;
  /** Of the convolutions; {@link conv2d}'s by default. */
  readonly init?: Init;
}

const blockNames = namesOf<DenseBlockOptions>({
  layers: true,
  growth: true,
  bottleneck: true,
  dropout: true,
  init: true,
});

/** A convolution of the blocks. */
interface ConvPlan {
  readonly filters: number;
  readonly kernel: number;
  readonly init: Init | undefined;
}

/** norm -> ReLU -> convolution, in the scopes `norm<i>` and `conv<i>`. */
function normReluConv(scope: Scope, x: Value, index: number | '', { filters, kernel, init }: ConvPlan): Value {
  const y = o.relu(scope.in(`norm${index}`, (s) => batchNorm(s, x)));
  return scope.in(`conv${index}`, (s) =>
    conv2d(s, y, { filters, kernel, bias: false, ...(init === undefined ? {} : { init }) }),
  );
}

/**
 * A dense block (Huang et al. 2017): every layer sees the channels of all before it. x[N,C,H,W] -> [N,C+layers*growth,H,W].
 * torchvision's names: `denselayer1.norm1`, `denselayer1.conv1`, ...
 */
export function denseBlock(scope: Scope, x: Value, options: DenseBlockOptions): Value {
  knownKeys('denseBlock', options, blockNames);
  const { layers, growth, bottleneck, dropout: p = 0, init } = options;
  let all = x;
  for (let i = 1; i <= layers; i++) {
    const added = scope.in(`denselayer${i}`, (s) => {
      if (bottleneck === undefined) return dropout(s, normReluConv(s, all, 1, { filters: growth, kernel: 3, init }), p);
      const narrow = normReluConv(s, all, 1, { filters: bottleneck * growth, kernel: 1, init });
      return dropout(s, normReluConv(s, narrow, 2, { filters: growth, kernel: 3, init }), p);
    });
    all = o.concat([all, added], 1);
  }
  return all;
}

/**
 * What stands between two dense blocks: norm, ReLU, 1x1 convolution to `filters` channels (half of them by default), 2x2
 * average. x[N,C,H,W] -> [N,filters,H/2,W/2]; torchvision's names `norm`, `conv`.
 */
export function denseTransition(
  scope: Scope,
  x: Value,
  { filters, init }: { readonly filters?: number; readonly init?: Init } = {},
): Value {
  const width = filters ?? Math.floor(channelsOf(x, 'denseTransition') / 2);
  return o.averagePool(normReluConv(scope, x, '', { filters: width, kernel: 1, init }), { kernel: 2 });
}
