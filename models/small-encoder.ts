import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import type { Encoder } from './encoder.ts';

/*
 * A residual encoder for machines without a graphics card: ResNet's blocks, few channels where the maps are large (there every
 * skip them costs as much as the convolutions) and most blocks where they are small.
 */

export interface SmallEncoderConfig {
  /** Channels at 1/2, 1/4, 1/8 ... of the picture's size. */
  readonly widths: readonly number[];
  /** Blocks at each of those sizes; the stem of the first counts as one. */
  readonly depths: readonly number[];
  /** Whether each block starts as its shortcut; true by default. In runs of a few hundred steps a net that starts whole learns sooner. */
  readonly zeroLast?: boolean;
}

/** 1.02 million parameters. */
export const smallEncoderDefaults: SmallEncoderConfig = { widths: [16, 32, 64, 96, 128], depths: [1, 1, 2, 2, 2] };

/** conv-norm-ReLU at half the size, then the rest of the stage's blocks. */
function stem(scope: Scope, x: Value, filters: number): Value {
  const convolved = scope.in('conv', (s) => nn.conv2d(s, x, { filters, stride: 2, bias: false }));
  return o.relu(scope.in('bn', (s) => nn.batchNorm(s, convolved)));
}

interface StagePlan {
  readonly filters: number;
  readonly blocks: number;
  readonly zeroLast: boolean;
}

function stage(scope: Scope, x: Value, i: number, { filters, blocks, zeroLast }: StagePlan): Value {
  const first = i === 0 ? stem(scope, x, filters) : x;
  const from = i === 0 ? 1 : 0;
  return Array.from({ length: blocks - from }).reduce<Value>((y, _, j) => {
    const stride = i > 0 && j === 0 ? 2 : 1;
    return scope.in(j + from, (s) => nn.basicBlock(s, y, { filters, stride, zeroLast }));
  }, first);
}

/** smallEncoder: a stem and residual blocks; a stage halves the size, `stage0` at 1/2, `stage1` at 1/4 and so on. */
export function smallEncoder(config: SmallEncoderConfig = smallEncoderDefaults): Encoder {
  const { widths, depths, zeroLast = true } = config;
  const name = (i: number): string => `stage${i}`;
  const half = Math.ceil(widths.length / 2);
  const names = widths.map((_, i) => name(i));
  return {
    stages: widths.map((channels, i) => ({ name: name(i), channels, reduction: 2 ** (i + 1) })),
    features: (scope, x) => {
      let map = x;
      return widths.map((filters, i) => {
        map = scope.in(name(i), (s) => stage(s, map, i, { filters, blocks: depths[i]!, zeroLast }));
        return map;
      });
    },
    groups: [names.slice(0, half), names.slice(half)],
  };
}
