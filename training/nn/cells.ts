import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

/** The values of one recurrent layer: weights [G*H,C] and [G*H,H], biases [G*H]. */
interface CellWeights {
  readonly input: Value;
  readonly hidden: Value;
  readonly inputBias: Value | undefined;
  readonly hiddenBias: Value | undefined;
}

/** What tells one recurrent layer from another. */
export interface Cell {
  /** G: blocks of H rows in the weights, in PyTorch's order. */
  readonly gates: number;
  /** Names of the states that are carried; the first is the output. */
  readonly states: readonly string[];
  /** The bias that goes with the inputs of all time steps at once. */
  readonly inputBias: (input: Value | undefined, hidden: Value | undefined) => Value | undefined;
  /** One time step: projected[N,G*H] and states [N,H] -> next states. */
  readonly step: (projected: Value, states: readonly Value[], w: Value, hiddenBias: Value | undefined) => Value[];
  /** The whole layer by ONNX's operator: x[T,N,C], first states [1,N,H] -> output [T,N,H] and last states [1,N,H]. */
  readonly onnx: (
    x: Value,
    weights: CellWeights,
    start: readonly Value[] | undefined,
    hidden: number,
  ) => { readonly output: Value; readonly states: readonly Value[] };
}

/** w h + projected, for a cell whose biases all went with the inputs. */
const gatesOf = (projected: Value, h: Value, w: Value): Value => o.gemm(h, w, projected, { transB: true });

/** A matrix [N,G*H] as its G blocks of columns. */
const blocks = (x: Value, count: number): readonly Value[] =>
  o.split(
    x,
    Array.from({ length: count }, () => (x.shape[1] as number) / count),
    1,
  );

const bothBiases = (input: Value | undefined, hidden: Value | undefined): Value | undefined =>
  input === undefined || hidden === undefined ? undefined : o.add(input, hidden);

/** Rows in ONNX's order of gates, with the direction axis in front; `order` names PyTorch's block for each of ONNX's. */
function onnxRows(w: Value, order: readonly number[]): Value {
  const size = (w.shape[0] as number) / order.length;
  const rows = o.split(
    w,
    order.map(() => size),
    0,
  );
  return o.unsqueeze(
    o.concat(
      order.map((gate) => rows[gate]!),
      0,
    ),
    [0],
  );
}

/** Runs ONNX's operator; the weights stay as PyTorch has them and are put in order by nodes that loading folds away. */
const onnxLayer =
  (op: 'RNN' | 'GRU' | 'LSTM', order: readonly number[], relu = false): Cell['onnx'] =>
  (x, { input, hidden: recurrent, inputBias, hiddenBias }, start, hidden) => {
    const bias =
      inputBias === undefined || hiddenBias === undefined
        ? undefined
        : o.concat([onnxRows(inputBias, order), onnxRows(hiddenBias, order)], 1);
    const [y, ...states] = o.onnxRecurrent(op, x, onnxRows(input, order), onnxRows(recurrent, order), {
      bias,
      start: start ?? [],
      hidden,
      relu,
    });
    return { output: o.squeeze(y!, [1]), states };
  };

/** h' = f(W_ih x + b_ih + W_hh h + b_hh). */
export const rnnCell = (nonlinearity: 'tanh' | 'relu'): Cell => ({
  gates: 1,
  states: ['hidden'],
  inputBias: bothBiases,
  step: (projected, [h], w) => [(nonlinearity === 'relu' ? o.relu : o.tanh)(gatesOf(projected, h!, w))],
  onnx: onnxLayer('RNN', [0], nonlinearity === 'relu'),
});

/** Input, forget, cell, output: c' = f c + i tanh(g), h' = o tanh(c'). */
export const lstmCell: Cell = {
  gates: 4,
  states: ['hidden', 'cell'],
  inputBias: bothBiases,
  step: (projected, [h, c], w) => {
    const [input, forget, cell, output] = blocks(gatesOf(projected, h!, w), 4);
    const next = o.add(o.mul(o.sigmoid(forget!), c!), o.mul(o.sigmoid(input!), o.tanh(cell!)));
    return [o.mul(o.sigmoid(output!), o.tanh(next)), next];
  },
  // ONNX: input, output, forget, cell.
  onnx: onnxLayer('LSTM', [0, 3, 1, 2]),
};

/** Reset, update, new: n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = n + z (h - n). */
export const gruCell: Cell = {
  gates: 3,
  states: ['hidden'],
  // The hidden bias of the new gate lies under the reset gate, so it stays with the hidden product.
  inputBias: (input) => input,
  step: (projected, [h], w, hiddenBias) => {
    const [xReset, xUpdate, xNew] = blocks(projected, 3);
    const [hReset, hUpdate, hNew] = blocks(o.gemm(h!, w, hiddenBias, { transB: true }), 3);
    const reset = o.sigmoid(o.add(xReset!, hReset!));
    const update = o.sigmoid(o.add(xUpdate!, hUpdate!));
    const fresh = o.tanh(o.add(xNew!, o.mul(reset, hNew!)));
    return [o.add(fresh, o.mul(update, o.sub(h!, fresh)))];
  },
  // ONNX: update, reset, new.
  onnx: onnxLayer('GRU', [1, 0, 2]),
};
