import * as nn from '../training/nn/layers.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import { type AwdLstmConfig, awdLstmBody } from './awd-lstm.ts';

/** A label for every word of a text: a language model's encoder and a linear layer. */
export interface TextTaggerConfig {
  readonly encoder: AwdLstmConfig;
  /** K: labels there are. */
  readonly labels: number;
}

/** textTagger: words int32[N,T] -> scores f32[N,K,T] of the labels of each. Parameters `encoder.weight`, `rnns.…`, `head.…`. */
export function textTagger(scope: Scope, words: Value, { encoder, labels }: TextTaggerConfig): Value {
  const { raw } = awdLstmBody(scope, words, encoder);
  const dropped = nn.variationalDropout(scope, raw, encoder.outputDrop * encoder.dropMult);
  const scores = scope.in('head', (s) => nn.linear(s, dropped, labels));
  return o.transpose(scores, [0, 2, 1]);
}
