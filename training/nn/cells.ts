import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { LoopStep } from './loop.ts';

/** The values of one recurrent layer: weights [G*H,C] and [G*H,H], biases [G*H]. */
export interface CellWeights {
  readonly input: Value;
  readonly hidden: Value;
  readonly inputBias: Value | undefined;
  readonly hiddenBias: Value | undefined;
}

/*
 * What distinguishes recurrent layers, forward and backward. Here states are columns, h[H,N], and so are slices of
 * time: the product W h of a wide matrix and a narrow one is twice as fast as h Wᵀ on the CPU, and blocks of gates are
 * contiguous rows. `(..., R, N)` below stands for one time step [R,N] or for all of them, [T,R,N].
 */
export interface Cell {
  /** G: blocks of H rows in the weights, in PyTorch's order. */
  readonly gates: number;
  /** Names of the states that are carried; the first is the output. */
  readonly states: readonly string[];
  /** The bias that goes with the inputs of all time steps at once. */
  readonly inputBias: (input: Value | undefined, hidden: Value | undefined) => Value | undefined;
  /** The hidden bias that is not in `inputBias`, which every step adds: [G*H]. */
  readonly stepBias: (hidden: Value | undefined) => Value | undefined;
  /**
   * One time step: projected[G*H,N] = W_ih x + bias, states [H,N], w[G*H,H], bias[G*H,1]? -> next states; outputs: what the
   * way back needs.
   */
  readonly step: (projected: Value, states: readonly Value[], w: Value, bias: Value | undefined) => LoopStep;
  /** What `step` kept, (...,R,N) each -> factors of the way back, (...,R,N) each. Nothing but elementwise operators. */
  readonly factors: (kept: readonly Value[]) => readonly Value[];
  /** Rows, in multiples of H, of what is carried back; the first is the gradient of the products W_hh h. */
  readonly carried: readonly number[];
  /**
   * One step back: dy[H,N], factors, what is carried (of the time step after this one), wT[H,G*H] -> what is carried on; outputs:
   * what `gateGrads` needs.
   */
  readonly stepBack: (dy: Value, factors: readonly Value[], carried: readonly Value[], wT: Value) => LoopStep;
  /** The gradient of a first state from what is carried in the end. */
  readonly stateGrads: (carried: readonly Value[], wT: Value) => readonly Value[];
  /** What `stepBack` kept and the factors, over all time steps -> gradients [T,G*H,N] of W_ih x and of W_hh h. */
  readonly gateGrads: (
    kept: readonly Value[],
    factors: () => readonly Value[],
  ) => { readonly input: Value; readonly hidden: Value };
  /** The whole layer by ONNX's operator: x[T,N,C], first states [1,N,H] -> output [T,N,H] and last states [1,N,H]. */
  readonly onnx: (
    x: Value,
    weights: CellWeights,
    start: readonly Value[] | undefined,
    hidden: number,
  ) => { readonly output: Value; readonly states: readonly Value[] };
}

/** The rows of (...,R,N) in blocks whose sizes are as `parts`. */
function rows(x: Value, parts: readonly number[]): readonly Value[] {
  const unit = (x.shape.at(-2) as number) / parts.reduce((sum, part) => sum + part, 0);
  return o.split(
    x,
    parts.map((part) => part * unit),
    -2,
  );
}

/** y (1 - y), the derivative of a sigmoid by its value. */
const slope = (y: Value): Value => o.mul(y, o.sub(1, y));
/** 1 - y^2, the derivative of tanh by its value. */
const tanhSlope = (y: Value): Value => o.sub(1, o.mul(y, y));

const bothBiases = (input: Value | undefined, hidden: Value | undefined): Value | undefined =>
  input === undefined || hidden === undefined ? undefined : o.add(input, hidden);

/** Rows in ONNX's order of gates, with the direction axis in front; `order` names PyTorch's block for each of ONNX's. */
function onnxRows(w: Value, order: readonly number[]): Value {
  const size = (w.shape[0] as number) / order.length;
  const blocks = o.split(
    w,
    order.map(() => size),
    0,
  );
  return o.unsqueeze(
    o.concat(
      order.map((gate) => blocks[gate]!),
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

/** Both products of a cell have the same gradients: the one that `stepBack` kept. */
const sameGrads: Cell['gateGrads'] = ([gates]) => ({ input: gates!, hidden: gates! });

/** h' = f(W_ih x + b_ih + W_hh h + b_hh). */
export const rnnCell = (nonlinearity: 'tanh' | 'relu'): Cell => ({
  gates: 1,
  states: ['hidden'],
  inputBias: bothBiases,
  stepBias: () => undefined,
  step: (projected, [h], w) => {
    const next = (nonlinearity === 'relu' ? o.relu : o.tanh)(o.gemm(w, h!, projected));
    return { states: [next], outputs: [next] };
  },
  factors: ([h]) => [nonlinearity === 'relu' ? o.cast(o.greater(h!, 0), 'float32') : tanhSlope(h!)],
  carried: [1],
  stepBack: (dy, [factor], [gates], wT) => {
    const next = o.mul(o.gemm(wT, gates!, dy), factor!);
    return { states: [next], outputs: [next] };
  },
  stateGrads: ([gates], wT) => [o.gemm(wT, gates!)],
  gateGrads: sameGrads,
  onnx: onnxLayer('RNN', [0], nonlinearity === 'relu'),
});

/** Input, forget, cell, output: c' = f c + i tanh(g), h' = o tanh(c'). */
export const lstmCell: Cell = {
  gates: 4,
  states: ['hidden', 'cell'],
  inputBias: bothBiases,
  stepBias: () => undefined,
  step: (projected, [h, c], w) => {
    const [inputForget, cell, output] = rows(o.gemm(w, h!, projected), [2, 1, 1]);
    const [first, fresh, last] = [o.sigmoid(inputForget!), o.tanh(cell!), o.sigmoid(output!)];
    const [input, forget] = rows(first, [1, 1]);
    const next = o.add(o.mul(forget!, c!), o.mul(input!, fresh));
    const bent = o.tanh(next);
    return { states: [o.mul(last, bent), next], outputs: [first, fresh, last, bent, c!] };
  },
  // Of dc: for i, f, g; of dh: for o; of dh: into dc; of dc: into the cell before.
  factors: ([first, fresh, last, bent, before]) => {
    const [input, forget] = rows(first!, [1, 1]);
    const byCell = [o.mul(slope(first!), o.concat([fresh!, before!], -2)), o.mul(input!, tanhSlope(fresh!))];
    return [o.concat(byCell, -2), o.mul(bent!, slope(last!)), o.mul(last!, tanhSlope(bent!)), forget!];
  },
  carried: [4, 1],
  stepBack: (dy, [byCell, byOutput, intoCell, forget], [gates, dCell], wT) => {
    const dh = o.gemm(wT, gates!, dy);
    const dc = o.add(o.mul(dh, intoCell!), dCell!);
    const next = o.concat([perBlock(byCell!, dc), o.mul(dh, byOutput!)], 0);
    return { states: [next, o.mul(dc, forget!)], outputs: [next] };
  },
  stateGrads: ([gates, dCell], wT) => [o.gemm(wT, gates!), dCell!],
  gateGrads: sameGrads,
  // ONNX: input, output, forget, cell.
  onnx: onnxLayer('LSTM', [0, 3, 1, 2]),
};

/** Each block of H rows of x[B*H,N] times y[H,N]. */
function perBlock(x: Value, y: Value): Value {
  const [h, n] = y.shape as [number, number];
  return o.reshape(o.mul(o.reshape(x, [-1, h, n]), y), x.shape as number[]);
}

/** Reset, update, new: n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = n + z (h - n). */
export const gruCell: Cell = {
  gates: 3,
  states: ['hidden'],
  // The hidden bias of the new gate lies under the reset gate, so it stays with the hidden product.
  inputBias: (input) => input,
  stepBias: (hidden) => hidden,
  step: (projected, [h], w, bias) => {
    const [xGates, xNew] = rows(projected, [2, 1]);
    const [hGates, hNew] = rows(o.gemm(w, h!, bias), [2, 1]);
    const gates = o.sigmoid(o.add(xGates!, hGates!));
    const [reset, update] = rows(gates, [1, 1]);
    const fresh = o.tanh(o.add(xNew!, o.mul(reset!, hNew!)));
    const next = o.add(fresh, o.mul(update!, o.sub(h!, fresh)));
    return { states: [next], outputs: [gates, hNew!, fresh, h!] };
  },
  // Of dh: for r, z and W_hn h; for W_in x; into the state before.
  factors: ([gates, hNew, fresh, before]) => {
    const [reset, update] = rows(gates!, [1, 1]);
    const ofNew = o.mul(o.sub(1, update!), tanhSlope(fresh!));
    const [resetSlope, updateSlope] = rows(slope(gates!), [1, 1]);
    const byState = [
      o.mul(o.mul(ofNew, hNew!), resetSlope!),
      o.mul(o.sub(before!, fresh!), updateSlope!),
      o.mul(ofNew, reset!),
    ];
    return [o.concat(byState, -2), update!, ofNew];
  },
  carried: [3, 1],
  stepBack: (dy, [byState, update], [gates, kept], wT) => {
    const dh = o.gemm(wT, gates!, o.add(dy, kept!));
    const next = perBlock(byState!, dh);
    return { states: [next, o.mul(dh, update!)], outputs: [next, dh] };
  },
  stateGrads: ([gates, kept], wT) => [o.gemm(wT, gates!, kept!)],
  gateGrads: ([gates, dh], factors) => {
    const [both] = rows(gates!, [2, 1]);
    return { input: o.concat([both!, o.mul(dh!, factors()[2]!)], -2), hidden: gates! };
  },
  // ONNX: update, reset, new.
  onnx: onnxLayer('GRU', [1, 0, 2]),
};
