import { kaimingUniform, uniformInit, zerosInit } from '../training/nn/init.ts';
import * as nn from '../training/nn/layers.ts';
import { crossEntropyLoss } from '../training/nn/losses.ts';
import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import * as o from '../training/ops/build.ts';

/*
 * The six nets of the lesson's human-numbers notebook, from three words to a two-layer GRU. Each takes words x i32[N,T], ids
 * below `words`; N and T are fixed. The first two state what comes after the last word, the others what comes after every word:
 * scores f32[N,V] or f32[N,T,V].
 */

/** V: words of the lesson's vocabulary, and H: numbers in the state. */
export const humanNumbersWords = 38;
const hidden = 64;

/** PyTorch's nn.Linear: weights and biases uniform in +-1 / sqrt(inputs). x[...,C] -> [...,features]. */
function linearTorch(scope: Scope, x: Value, features: number): Value {
  const inputs = x.shape.at(-1) as number;
  const rows = x.shape.slice(0, -1) as number[];
  const w = scope.param('weight', [features, inputs], kaimingUniform);
  const b = scope.param('bias', [features], uniformInit(1 / Math.sqrt(inputs)));
  const y = o.gemm(o.reshape(x, [-1, inputs]), w, b, { transB: true });
  return rows.length === 1 ? y : o.reshape(y, [...rows, features]);
}

/** The layers that all six share, by the notebook's names: green, brown and blue arrows, and the batch norm. */
function parts(scope: Scope) {
  return {
    /** i_h: words i32[...] -> f32[...,H]. */
    embed: (words: Value): Value =>
      scope.share('i_h', (s) => nn.embedding(s, words, { rows: humanNumbersWords, width: hidden })),
    /** h_h: f32[N,H] -> relu of its linear layer. */
    mix: (h: Value): Value => o.relu(scope.share('h_h', (s) => linearTorch(s, h, hidden))),
    /** h_o: f32[...,H] -> f32[...,V]. */
    score: (h: Value): Value => scope.share('h_o', (s) => linearTorch(s, h, humanNumbersWords)),
    norm: (h: Value): Value => scope.share('bn', (s) => nn.batchNorm(s, h)),
  };
}

/** x[N,T] -> its T columns, [N] each. */
const columns = (x: Value): readonly Value[] =>
  o
    .split(
      x,
      Array.from({ length: x.shape[1] as number }, () => 1),
      1,
    )
    .map((column) => o.squeeze(column, [1]));

/** T times [N,C] -> [N,T,C]. */
const stack = (steps: readonly Value[]): Value =>
  o.concat(
    steps.map((step) => o.unsqueeze(step, [1])),
    1,
  );

const zeroState = (x: Value): Value => o.expand(x.graph.scalar(0), [x.shape[0] as number, hidden]);

/** The state that a net carries from batch to batch, zeros at first: hand in what it becomes. */
function carried(scope: Scope, shape: readonly number[]): { readonly state: Value; keep(next: Value): void } {
  const state = scope.buffer('h', shape, zerosInit);
  return { state, keep: (next) => scope.update('h', o.detach(next)) };
}

/** Up to three words, written out: x i32[N,1..3] -> what comes next, f32[N,V]. 9 190 parameters. */
function model0(scope: Scope, x: Value): Value {
  const { embed, mix, score, norm } = parts(scope);
  const [one, two, three] = columns(x);
  let h = norm(o.relu(embed(one!)));
  if (two) h = norm(mix(o.add(h, embed(two))));
  if (three) h = norm(mix(o.add(h, embed(three))));
  return score(h);
}

/** The same as a loop: any number of words. x i32[N,T] -> f32[N,V]. 9 190 parameters. */
function model1(scope: Scope, x: Value): Value {
  const { embed, mix, score, norm } = parts(scope);
  return score(columns(x).reduce((h, word) => norm(mix(o.add(h, embed(word)))), zeroState(x)));
}

/** The loop, saying what comes next after every word. x i32[N,T] -> f32[N,T,V]. 9 190 parameters. */
function model2(scope: Scope, x: Value): Value {
  const { embed, mix, score, norm } = parts(scope);
  let h = zeroState(x);
  const scores = columns(x).map((word) => {
    h = mix(o.add(h, embed(word)));
    return score(norm(h));
  });
  return stack(scores);
}

/** The loop that begins each batch with the state in which the one before ended. x i32[N,T] -> f32[N,T,V]. 9 190 parameters. */
function model3(scope: Scope, x: Value): Value {
  const { embed, mix, score, norm } = parts(scope);
  const { state, keep } = carried(scope, [x.shape[0] as number, hidden]);
  let h = state;
  const normed = columns(x).map((word) => {
    h = mix(o.add(h, embed(word)));
    return norm(h);
  });
  keep(h);
  return score(stack(normed));
}

/** f32[N,T,H] -> batch norm of each of the H numbers over all N T positions. */
function normFlat(norm: (h: Value) => Value, x: Value): Value {
  return o.reshape(norm(o.reshape(x, [-1, hidden])), x.shape as number[]);
}

/** The library's recurrent layer instead of the loop. x i32[N,T] -> f32[N,T,V]. 13 350 parameters. */
function model4(scope: Scope, x: Value): Value {
  const { embed, score, norm } = parts(scope);
  const { state, keep } = carried(scope, [1, x.shape[0] as number, hidden]);
  const result = scope.in('rnn', (s) => nn.rnn(s, embed(x), { hidden }, state));
  keep(result.hidden);
  return score(normFlat(norm, result.output));
}

/** Gated recurrent units, two layers. x i32[N,T] -> f32[N,T,V]. 54 950 parameters. */
export function model5(scope: Scope, x: Value): Value {
  const { embed, score, norm } = parts(scope);
  const { state, keep } = carried(scope, [2, x.shape[0] as number, hidden]);
  const result = scope.in('rnn', (s) => nn.gru(s, embed(x), { hidden, layers: 2 }, state));
  keep(result.hidden);
  return score(normFlat(norm, result.output));
}

/** The ladder, in order. */
export const humanNumbersModels = [model0, model1, model2, model3, model4, model5] as const;

/** Whether a model of the ladder scores only what follows the last word. */
export const scoresLastWord = (index: number): boolean => index < 2;

/** Cross-entropy over every word: scores f32[N,T,V], words i32[N,T]. */
export const everyWord = (scores: Value, words: Value): Value =>
  crossEntropyLoss(o.reshape(scores, [-1, humanNumbersWords]), o.reshape(words, [-1]));

/** Cross-entropy of the word after the last one: scores f32[N,V], words i32[N,T]. */
export const lastWord = (scores: Value, words: Value): Value => {
  const length = words.shape[1] as number;
  return crossEntropyLoss(scores, o.squeeze(o.slice(words, { axes: [1], starts: [length - 1], ends: [length] }), [1]));
};
