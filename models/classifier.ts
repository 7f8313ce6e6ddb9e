import { knownKeys, namesOf } from '../training/core/known-keys.ts';
import { kaimingNormal } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import type { Encoder } from './encoder.ts';

/* fastai's classifiers: the body of any net, and a head of its own. */

export interface ClassifierHeadOptions {
  readonly classes: number;
  /** Features of the hidden layers; [512] by default. */
  readonly hidden?: readonly number[];
  /** In front of the last layer; half of it in front of the others. 0.5 by default. */
  readonly dropout?: number;
  /** Maxima and means of the map, and not means alone; true by default. */
  readonly concatPool?: boolean;
  /** Biases of the linear layers, as in fastai v1; v2 has none. True by default. */
  readonly bias?: boolean;
}

const headNames = namesOf<ClassifierHeadOptions>({
  classes: true,
  hidden: true,
  dropout: true,
  concatPool: true,
  bias: true,
});

type Pooling = (map: Value) => Value;

/**
 * Mean and maximum over all positions: [N,C,H,W] -> [N,C]. In an exported graph of known size as pools, which every runtime has at every opset: WebGL's
 * reductions are those before opset 18.
 */
function poolings(scope: Scope, { shape }: Value): readonly [mean: Pooling, largest: Pooling] {
  const kernel = shape.slice(2).filter((side) => typeof side === 'number');
  if (!scope.exported || kernel.length < 2) {
    const whole = { axes: [2, 3], keepdims: false };
    return [(map) => o.reduceMean(map, whole), (map) => o.reduceMax(map, whole)];
  }
  return [
    (map) => o.reshape(o.averagePool(map, { kernel }), [0, -1]),
    (map) => o.reshape(o.maxPool(map, { kernel }), [0, -1]),
  ];
}

/**
 * classifierHead: fastai's `create_head`: a map f32[N,C,H,W] -> scores (logits) f32[N,classes]. Pool to maxima and means [N,2C], then norm,
 * dropout, linear and ReLU for each hidden layer, and norm, dropout, linear. Parameters in fastai's scopes `2`, `4`, `6`, `8`.
 */
export function classifierHead(scope: Scope, map: Value, options: ClassifierHeadOptions): Value {
  knownKeys('classifierHead', options, headNames);
  const { classes, hidden = [512], dropout = 0.5, concatPool = true, bias = true } = options;
  const [mean, largest] = poolings(scope, map);
  const pooled = concatPool ? o.concat([largest(map), mean(map)], 1) : mean(map);
  const features = [...hidden, classes];
  return features.reduce((x, width, i) => {
    const last = i === hidden.length;
    const normed = scope.in(2 + 4 * i, (s) => nn.batchNorm(s, x));
    const kept = nn.dropout(scope, normed, last ? dropout : dropout / 2);
    const scores = scope.in(4 + 4 * i, (s) => nn.linear(s, kept, width, { bias, init: kaimingNormal() }));
    return last ? scores : o.relu(scores);
  }, pooled);
}

/** classifier: pictures f32[N,C,H,W], normalised -> scores (logits) f32[N,classes]. Parameters `encoder.*` (under the encoder's names) and `head.*`. */
export function classifier(scope: Scope, x: Value, encoder: Encoder, options: ClassifierHeadOptions): Value {
  const deepest = scope.in('encoder', (s) => encoder.features(s, x)).at(-1)!;
  return scope.in('head', (s) => classifierHead(s, deepest, options));
}

/** Prefixes of parameter names for `splitByPrefix`: the encoder's early and late layers; the head is the group after them. */
export const classifierGroups = (encoder: Encoder): readonly (readonly string[])[] =>
  encoder.groups.map((names) => names.map((name) => `encoder.${name}`));
