import { crossEntropyLoss } from '../training/nn/losses.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';
import {
  type AwdLstmConfig,
  awdLstm,
  awdLstmBody,
  awdLstmDecoder,
  awdLstmPenalty,
  carriedStates,
  type LstmState,
} from './awd-lstm.ts';

export interface PenaltyOptions {
  /** AR and TAR of {@link awdLstmPenalty}; 2 and 1 by default. */
  readonly alpha?: number;
  readonly beta?: number;
}

/** What a language model makes of a window of a text, int32[N,T+1]: T words and those that follow them. */
export interface WindowResult {
  /** Mean of -log p(next word), and while training the penalties, f32[]. */
  readonly loss: Value;
  /** f32[N,T,2]: log p(next word), and 1 where no word has a higher score, else 0. Not while training: there the scores f32[N T,V]. */
  readonly prediction: Value;
}

/** Columns `from` .. `to` of x[N,...]. */
const columns = (x: Value, from: number, to: number): Value => o.slice(x, { axes: [1], starts: [from], ends: [to] });

/** The language model over window after window of a text; its states are buffers, so each continues where the last one ended. */
export function languageModelWindow(
  scope: Scope,
  window: Value,
  config: AwdLstmConfig,
  penalty: PenaltyOptions = {},
): WindowResult {
  const [n, length] = window.shape as [number, number];
  const t = length - 1;
  const carried = carriedStates(scope, n, config);
  const net = awdLstm(scope, columns(window, 0, t), config, carried.states);
  carried.keep(net.states);
  const next = o.reshape(columns(window, 1, length), [n * t]);
  const scores = o.reshape(net.scores, [n * t, config.words]);
  if (scope.training) {
    const loss = o.add(crossEntropyLoss(scores, next), awdLstmPenalty(net, penalty));
    return { loss, prediction: scores };
  }
  const nextColumn = o.reshape(next, [n * t, 1]);
  const logP = o.gatherElements(o.logSoftmax(scores, 1), nextColumn, 1);
  const highest = o.reduceMax(scores, { axes: [1], keepdims: true });
  const hit = o.cast(o.greaterOrEqual(o.gatherElements(scores, nextColumn, 1), highest), 'float32');
  return { loss: o.neg(o.reduceMean(logP)), prediction: o.reshape(o.concat([logP, hit], 1), [n, t, 2]) };
}

/** What sampling wants of scores f32[N,V]: the probability f32[N,V] of each word at temperature f32[N,1]. */
export const probabilitiesAt = (scores: Value, temperature: Value): Value => o.softmax(o.div(scores, temperature), 1);

/** For generation: words int32[N,T] after the states of what came before -> scores f32[N,V] of the next word, and the states then. */
export function nextWord(
  scope: Scope,
  words: Value,
  config: AwdLstmConfig,
  states: readonly LstmState[],
): { readonly scores: Value; readonly states: readonly LstmState[] } {
  const body = awdLstmBody(scope, words, config, states);
  const last = o.squeeze(body.states.at(-1)!.hidden, [0]);
  return { scores: awdLstmDecoder(scope, last, config), states: body.states };
}
