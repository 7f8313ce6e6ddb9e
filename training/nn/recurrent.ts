import { ensure } from '../core/errors.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { type Cell, gruCell, lstmCell, rnnCell } from './cells.ts';
import { featuresOf } from './common.ts';
import { dropout, weightDrop } from './dropout.ts';
import { uniformInit } from './init.ts';
import type { Scope } from './scope.ts';

export interface RecurrentOptions {
  /** H: numbers in the state. */
  readonly hidden: number;
  /** Layers, one on the outputs of the other; 1 when left out. */
  readonly layers?: number;
  readonly bias?: boolean;
  /** Dropout on the outputs of every layer but the last, while training. */
  readonly dropout?: number;
  /** Dropout of the recurrent weights, one mask per step of training (Merity et al. 2017). */
  readonly weightDrop?: number;
}

export interface RecurrentOutput {
  /** The last layer's state at every time, [N,T,H]. */
  readonly output: Value;
  /** Every layer's last state, [layers,N,H]: feed it to the next batch to carry on. */
  readonly hidden: Value;
}
export interface LstmOutput extends RecurrentOutput {
  /** Every layer's last cell, [layers,N,H]. */
  readonly cell: Value;
}

/** The trained values of one layer, PyTorch's. */
interface LayerWeights {
  readonly input: Value;
  readonly hidden: Value;
  readonly inputBias: Value | undefined;
  readonly hiddenBias: Value | undefined;
}

function layerWeights(
  scope: Scope,
  layer: number,
  features: number,
  cell: Cell,
  options: RecurrentOptions,
): LayerWeights {
  const { hidden, bias = true } = options;
  const init = uniformInit(1 / Math.sqrt(hidden));
  const rows = cell.gates * hidden;
  const param = (name: string, shape: readonly number[]): Value => scope.param(`${name}_l${layer}`, shape, init);
  return {
    input: param('weight_ih', [rows, features]),
    hidden: weightDrop(scope, param('weight_hh', [rows, hidden]), options.weightDrop ?? 0),
    inputBias: bias ? param('bias_ih', [rows]) : undefined,
    hiddenBias: bias ? param('bias_hh', [rows]) : undefined,
  };
}

/** What one layer makes of time-first input. */
interface LayerResult {
  readonly output: Value;
  /** Last states, [1,N,H] each. */
  readonly states: readonly Value[];
}

/**
 * One layer over x[T,N,C], unrolled: the products with the inputs of all time steps are a single Gemm, and so are, by
 * way of `backward`, those of the gradients of both weights.
 */
function unrolled(x: Value, weights: LayerWeights, cell: Cell, start: readonly Value[], hidden: number): LayerResult {
  const [t, n, c] = staticShape(x.shape, 'recurrent layer') as [number, number, number];
  const bias = cell.inputBias(weights.inputBias, weights.hiddenBias);
  const projected = o.gemm(o.reshape(x, [t * n, c]), weights.input, bias, { transB: true });
  const steps = o.split(
    projected,
    Array.from({ length: t }, () => n),
    0,
  );
  let states: readonly Value[] = start.map((state) => o.squeeze(state, [0]));
  const outputs = steps.map((step) => {
    states = cell.step(step, states, weights.hidden, weights.hiddenBias);
    return states[0]!;
  });
  return {
    output: o.reshape(o.concat(outputs, 0), [t, n, hidden]),
    states: states.map((state) => o.unsqueeze(state, [0])),
  };
}

/** The layers of a recurrent net over x[N,T,C]. */
function recurrent(
  scope: Scope,
  x: Value,
  cell: Cell,
  options: RecurrentOptions,
  start: readonly Value[] | undefined,
): { readonly output: Value; readonly states: readonly Value[] } {
  const { hidden, layers = 1 } = options;
  ensure(x.shape.length === 3, 'bad-shape', () => `recurrent layer: expected x[N,T,C], got ${showValue(x)}`);
  const starts = start?.map((state) => splitLayers(state, layers));
  const last: (readonly Value[])[] = [];
  let y = o.transpose(x, [1, 0, 2]);
  for (let layer = 0; layer < layers; layer++) {
    const weights = layerWeights(scope, layer, featuresOf(y, 'recurrent layer'), cell, options);
    const from = starts?.map((state) => state[layer]!);
    const { output, states } = scope.exported
      ? cell.onnx(y, weights, from, hidden)
      : unrolled(y, weights, cell, from ?? zeroStates(y, cell, hidden), hidden);
    last.push(states);
    y = layer < layers - 1 ? dropout(scope, output, options.dropout ?? 0) : output;
  }
  return {
    output: o.transpose(y, [1, 0, 2]),
    states: cell.states.map((_, i) =>
      o.concat(
        last.map((states) => states[i]!),
        0,
      ),
    ),
  };
}

/** [layers,N,H] as one [1,N,H] per layer. */
function splitLayers(state: Value, layers: number): readonly Value[] {
  ensure(
    state.shape.length === 3 && state.shape[0] === layers,
    'bad-shape',
    () => `recurrent layer: expected a state [${layers},N,H], got ${showValue(state)}`,
  );
  return o.split(
    state,
    Array.from({ length: layers }, () => 1),
    0,
  );
}

const zeroStates = (x: Value, cell: Cell, hidden: number): Value[] =>
  cell.states.map(() => o.expand(x.graph.scalar(0), [1, staticShape([x.shape[1]!], 'recurrent layer')[0]!, hidden]));

/**
 * Elman's network: x[N,T,C] -> output [N,T,H], h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU. `state` [layers,N,H] is the
 * first one, zeros when left out. Parameters as PyTorch's nn.RNN: `weight_ih_l0` [H,C], `weight_hh_l0` [H,H], `bias_ih_l0`,
 * `bias_hh_l0` [H], and so on. Training needs static N and T; an exported graph runs ONNX's RNN and takes any. Throws `bad-shape`.
 */
export function rnn(
  scope: Scope,
  x: Value,
  options: RecurrentOptions & { readonly nonlinearity?: 'tanh' | 'relu' },
  state?: Value,
): RecurrentOutput {
  const { output, states } = recurrent(scope, x, rnnCell(options.nonlinearity ?? 'tanh'), options, state && [state]);
  return { output, hidden: states[0]! };
}

/**
 * Gated recurrent unit (Cho et al. 2014): x[N,T,C] -> output [N,T,H]. Parameters as PyTorch's nn.GRU, gates in the order reset,
 * update, new: `weight_ih_l0` [3H,C], `weight_hh_l0` [3H,H], `bias_ih_l0`, `bias_hh_l0` [3H]. Otherwise as {@link rnn}.
 */
export function gru(scope: Scope, x: Value, options: RecurrentOptions, state?: Value): RecurrentOutput {
  const { output, states } = recurrent(scope, x, gruCell, options, state && [state]);
  return { output, hidden: states[0]! };
}

/**
 * Long short-term memory (Hochreiter & Schmidhuber 1997): x[N,T,C] -> output [N,T,H]. Parameters as PyTorch's nn.LSTM, gates in
 * the order input, forget, cell, output: `weight_ih_l0` [4H,C], and so on. The state is hidden and cell. Otherwise as {@link rnn}.
 */
export function lstm(
  scope: Scope,
  x: Value,
  options: RecurrentOptions,
  state?: { readonly hidden: Value; readonly cell: Value },
): LstmOutput {
  const { output, states } = recurrent(scope, x, lstmCell, options, state && [state.hidden, state.cell]);
  return { output, hidden: states[0]!, cell: states[1]! };
}
