import * as nn from '../../training/nn/layers.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';

export interface LandscapeNet {
  /** Blocks of two convolutions in each of the three stages: 9 make the 56 layers of the paper. */
  readonly blocks: number;
  /** Channels of the first stage; each of the others has twice as many. */
  readonly width: number;
  /** Whether blocks add their input to their output. */
  readonly skip: boolean;
}

/** Convolution without bias, then batch norm. */
const convNorm = (scope: Scope, x: Value, filters: number, kernel: number, stride: number): Value => {
  const y = scope.in('conv', (s) => nn.conv2d(s, x, { filters, kernel, stride, bias: false }));
  return scope.in('bn', (s) => nn.batchNorm(s, y));
};

/** Two 3x3 convolutions; with `skip` the input is added, through a 1x1 convolution where the shape changes. */
function block(scope: Scope, x: Value, filters: number, stride: number, skip: boolean): Value {
  const one = o.relu(scope.in('one', (s) => convNorm(s, x, filters, 3, stride)));
  const two = scope.in('two', (s) => convNorm(s, one, filters, 3, 1));
  if (!skip) return o.relu(two);
  const same = stride === 1 && x.shape[1] === filters;
  return o.relu(o.add(two, same ? x : scope.in('shortcut', (s) => convNorm(s, x, filters, 1, stride))));
}

/**
 * The net of He et al. 2016, section 4.2, for digits: x f32[N,1,28,28] -> scores f32[N,10]. 6 `blocks` + 2 layers; the first
 * convolution has stride 2, so the stages see 14 x 14, 7 x 7 and 4 x 4.
 */
export const landscapeNet =
  ({ blocks, width, skip }: LandscapeNet) =>
  (scope: Scope, x: Value): Value => {
    let h = o.relu(scope.in('stem', (s) => convNorm(s, x, width, 3, 2)));
    for (let stage = 0; stage < 3; stage++) {
      for (let i = 0; i < blocks; i++) {
        const stride = stage > 0 && i === 0 ? 2 : 1;
        h = scope.in(`stage${stage + 1}.${i}`, (s) => block(s, h, width * 2 ** stage, stride, skip));
      }
    }
    const pooled = o.reduceMean(h, { axes: [2, 3] });
    return scope.in('head', (s) => nn.linear(s, pooled, 10));
  };
