import { uniformInit } from '../../training/nn/init.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';

/*
 * GRU and LSTM as their formulas say, time step by time step, with the derivative that the operators' rules make of them: what
 * the library's form of these layers is tested and timed against.
 */

export type PlainKind = 'gru' | 'lstm';
const gatesOf = { gru: 3, lstm: 4 };

/** x in `count` pieces along `axis`. */
const cut = (x: Value, count: number, axis: number): readonly Value[] =>
  o.split(
    x,
    Array.from({ length: count }, () => (x.shape[axis] as number) / count),
    axis,
  );

type Step = (projected: Value, states: readonly Value[], w: Value, bias: Value) => readonly Value[];

const steps: Readonly<Record<PlainKind, Step>> = {
  lstm: (projected, [h, c], w) => {
    const [input, forget, cell, output] = cut(o.gemm(h!, w, projected, { transB: true }), 4, 1);
    const next = o.add(o.mul(o.sigmoid(forget!), c!), o.mul(o.sigmoid(input!), o.tanh(cell!)));
    return [o.mul(o.sigmoid(output!), o.tanh(next)), next];
  },
  gru: (projected, [h], w, bias) => {
    const [xReset, xUpdate, xNew] = cut(projected, 3, 1);
    const [hReset, hUpdate, hNew] = cut(o.gemm(h!, w, bias, { transB: true }), 3, 1);
    const update = o.sigmoid(o.add(xUpdate!, hUpdate!));
    const fresh = o.tanh(o.add(xNew!, o.mul(o.sigmoid(o.add(xReset!, hReset!)), hNew!)));
    return [o.add(fresh, o.mul(update, o.sub(h!, fresh)))];
  },
};

/** x[N,T,C] -> the last layer's states [N,T,H], from states of zeros. Parameters as the library's layer has them. */
export function plainRecurrent(scope: Scope, x: Value, kind: PlainKind, hidden: number, layers = 1): Value {
  let y = o.transpose(x, [1, 0, 2]);
  for (let layer = 0; layer < layers; layer++) {
    const [t, n, c] = y.shape as [number, number, number];
    const rows = gatesOf[kind] * hidden;
    const param = (name: string, shape: readonly number[]): Value =>
      scope.param(`${name}_l${layer}`, shape, uniformInit(1 / Math.sqrt(hidden)));
    const [input, w] = [param('weight_ih', [rows, c]), param('weight_hh', [rows, hidden])];
    const [inputBias, hiddenBias] = [param('bias_ih', [rows]), param('bias_hh', [rows])];
    const bias = kind === 'lstm' ? o.add(inputBias, hiddenBias) : inputBias;
    const projected = o.gemm(o.reshape(y, [t * n, c]), input, bias, { transB: true });
    const zeros = o.expand(x.graph.scalar(0), [n, hidden]);
    let states: readonly Value[] = kind === 'lstm' ? [zeros, zeros] : [zeros];
    const outputs = cut(projected, t, 0).map((slice) => {
      states = steps[kind](slice, states, w, hiddenBias);
      return states[0]!;
    });
    y = o.reshape(o.concat(outputs, 0), [t, n, hidden]);
  }
  return o.transpose(y, [1, 0, 2]);
}
