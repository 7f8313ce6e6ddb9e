import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import { type AwdLstmConfig, awdLstmBody } from './awd-lstm.ts';

/** fastai's text classifier: a language model's encoder, concat pooling, a small head. */
export interface TextClassifierConfig {
  readonly encoder: AwdLstmConfig;
  readonly classes: number;
  /** Numbers in the head's hidden layer. */
  readonly headWidth: number;
  /** Dropout in front of the head's two layers. */
  readonly headDrops: readonly [number, number];
}

/** f32[N,T,1]: 1 where a word is, 0 on padding, which is at the end. */
const wordMask = (words: Value, padding: number): Value =>
  o.unsqueeze(o.cast(o.not(o.equal(words, padding)), 'float32'), [2]);

/** 1 at the last word of each text: where the mask is followed by none. */
function lastWord(mask: Value): Value {
  const [, t] = mask.shape as [number, number, number];
  if (t === 1) return mask;
  return o.sub(mask, o.pad(o.slice(mask, { axes: [1], starts: [1], ends: [t] }), [0, 0, 0, 0, 1, 0]));
}

/** Lower than any state of an LSTM, which are in -1..1. */
const nothing = -1e4;

/** concatPool: states [N,T,H] of words int32[N,T], at least one in each row -> the last word's, the largest and the mean of all, [N,3H]. */
export function concatPool(raw: Value, words: Value, padding: number): Value {
  const mask = wordMask(words, padding);
  const sum = (x: Value): Value => o.reduceSum(x, { axes: [1], keepdims: false });
  const last = sum(o.mul(raw, lastWord(mask)));
  const largest = o.reduceMax(o.add(o.mul(raw, mask), o.mul(o.sub(1, mask), nothing)), { axes: [1], keepdims: false });
  const mean = o.div(sum(o.mul(raw, mask)), sum(mask));
  return o.concat([last, largest, mean], 1);
}

/** The classifier: words int32[N,T], padding behind them -> scores f32[N,classes]. Parameters `encoder.weight`, `rnns.…`, `head.…`. */
export function textClassifier(scope: Scope, words: Value, config: TextClassifierConfig): Value {
  const { encoder, classes, headWidth, headDrops } = config;
  const { raw } = awdLstmBody(scope, words, encoder);
  const pooled = concatPool(raw, words, encoder.paddingIndex);
  const hidden = o.relu(headLayer(scope, 'head.0', pooled, headWidth, headDrops[0]));
  return headLayer(scope, 'head.1', hidden, classes, headDrops[1]);
}

/** Batch norm, dropout, linear: x[N,C] -> [N,features]. */
const headLayer = (scope: Scope, name: string, x: Value, features: number, drop: number): Value =>
  scope.in(name, (s) => {
    const normed = s.in('norm', (inner) => nn.batchNorm(inner, x));
    return s.in('linear', (inner) => nn.linear(inner, nn.dropout(inner, normed, drop), features));
  });
